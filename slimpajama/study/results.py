"""The files of a finished study: ``results.json`` for the report, Parquet for data frames, ``tables.txt``, drawings.

``losses.parquet`` has a row for each run and source, ``curves.parquet`` one for each run and point of its curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from slimpajama.report.drawings.study import study_drawings
from slimpajama.report.drawings.style import look
from slimpajama.report.figures.study import RESULTS_FILE, StudyFigures
from slimpajama.storage.atomic import atomic_file
from slimpajama.study.runs import RunResult
from slimpajama.study.tables import study_text

__all__ = ["TABLES_FILE", "write_results"]

TABLES_FILE = "tables.txt"


def write_results(output: Path, figures: StudyFigures, results: Sequence[RunResult]) -> None:
    """Write all files into ``output``; ``results.json`` last."""
    _write_tables(output, results)
    with look():
        for drawing in study_drawings(figures):
            _write(output / f"{drawing.name.removeprefix('study-')}.svg", drawing.file.encode())
    _write(output / TABLES_FILE, f"{study_text(figures)}\n".encode())
    _write(output / RESULTS_FILE, msgspec.json.format(msgspec.json.encode(figures)))


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


def _write_tables(output: Path, results: Sequence[RunResult]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    losses = [(result, loss) for result in results for loss in result.held_out]
    points = [(result, point) for result in results for point in result.curve]
    tables = {
        "losses": {
            **_labels([result for result, _ in losses]),
            "parameters": [result.parameters for result, _ in losses],
            "source": [loss.source for _, loss in losses],
            "tokens": [loss.tokens for _, loss in losses],
            "bytes": [loss.bytes for _, loss in losses],
            "nats_per_token": [loss.nats_per_token for _, loss in losses],
            "bits_per_byte": [loss.bits_per_byte for _, loss in losses],
        },
        "curves": {
            **_labels([result for result, _ in points]),
            "tokens": [point.tokens for _, point in points],
            "loss": [point.loss for _, point in points],
        },
    }
    for name, columns in tables.items():
        with atomic_file(output / f"{name}.parquet") as file:
            pq.write_table(pa.table(columns), file)


def _labels(results: Sequence[RunResult]) -> dict[str, list[object]]:
    return {
        "mixture": [result.mixture for result in results],
        "model": [result.model for result in results],
        "seed": [result.seed for result in results],
    }
