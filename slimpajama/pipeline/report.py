"""``slimpajama report OUTPUT``: the page of an output, its figures and their numbers, in the folder ``report/`` of it.

The folder has a sealed list of its own files, ``files.json``, and ``made_of.json``, a digest of what the page was made
of: the files of the output but for its summaries, whose times change whenever a command finds all done. So a second
``run`` does not make the page again, and the page keeps the times of the run that did the work. Each file appears
whole, ``files.json`` last. Nothing else of the output changes. Rejected: to list the page among the files of the output
(a page could then not be made or removed without touching its lists).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.errors import OutputError
from slimpajama.evidence.request import last_request, read_request
from slimpajama.report.figures.whole import Report
from slimpajama.report.sections.study import STUDY_RESULTS
from slimpajama.storage.atomic import atomic_file, cannot_write, fingerprint, read_json
from slimpajama.storage.file_list import FILE_LIST, files_in, read_file_list, write_file_list
from slimpajama.storage.file_names import SUMMARY_FILE
from slimpajama.storage.lock import locked, locked_for_reading
from slimpajama.storage.paths import path_of, relative_name, remove_file
from slimpajama.storage.reading import own_bytes
from slimpajama.storage.sealed_json import read_sealed, write_sealed
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout

if TYPE_CHECKING:
    from slimpajama.report.figures.comparison import ComparedRuns
    from slimpajama.report.page import Page

__all__ = [
    "PAGE",
    "REPORT_FOLDER",
    "MadeReport",
    "compare",
    "make_report",
    "report_is_current",
    "report_of",
    "report_state",
]

REPORT_FOLDER = "report"
PAGE = "index.html"
MADE_OF = "made_of.json"
VERSION = 2
"""Of the page and its files: a report of another version is made again."""


@dataclass(frozen=True, slots=True)
class MadeReport:
    """A report that was made. ``page``: its ``index.html``; ``figures``: all its numbers and texts; ``reused``: whether
    it was there already and still held."""

    page: Path
    figures: Report
    reused: bool


def make_report(output: str | Path, *, to: str | Path | None = None) -> MadeReport:
    """Make the report of a finished output of ``dedup``, ``mix`` or ``run``: a page, figures and their numbers.

    It lies in ``report/`` of the output, or in the folder ``to``. Raises :class:`~slimpajama.InputNotFound` where there
    is no output that is finished, :class:`~slimpajama.OutputError` where the folder holds something else than a report,
    and :class:`~slimpajama.WorkspaceLocked` while somebody writes to the output.
    """
    return report_of(path_of(output), None if to is None else path_of(to), again=True)


def report_of(output: Path, to: Path | None = None, *, again: bool = False) -> MadeReport:
    """As :func:`make_report`. Unless it is to be made ``again``, a report that still holds is left as it is."""
    from slimpajama.report.measured import measured

    folder = to or output / REPORT_FOLDER
    _refuse_foreign(folder)
    if not again and report_is_current(output, folder):
        figures = msgspec.json.decode(own_bytes(folder / "data" / "report.json"), type=Report)
        return MadeReport(folder / PAGE, figures, True)
    read_request(output)  # raises where nothing was ever made, before a lock is
    with locked(output) if to is None else locked_for_reading(output):
        digest = _made_of(output)
        figures = measured(output)
        _write(folder, _report_files(figures), digest)
    return MadeReport(folder / PAGE, figures, False)


def compare(first: str | Path, second: str | Path, to: str | Path) -> ComparedRuns:
    """Compare two finished deduplications, alone or in a ``run``: a page, figures and their numbers in the folder
    ``to``. Returns the figures. Raises as :func:`make_report` does."""
    from slimpajama.report.comparison import compared
    from slimpajama.report.page import comparison_page

    outputs, folder = (path_of(first), path_of(second)), path_of(to)
    _refuse_foreign(folder)
    for output in outputs:
        read_request(output)
    with locked_for_reading(outputs[0]), locked_for_reading(outputs[1]):
        figures = compared(*outputs)
        names = (outputs[0].name, outputs[1].name)
        names = names if names[0] != names[1] else ("the first", "the second")
        files = _files_of("comparison", figures, comparison_page(figures, names))
        _write(folder, files, fingerprint(*map(_made_of, outputs)))
    return figures


def report_is_current(output: Path, folder: Path | None = None) -> bool:
    """Whether the report in ``folder``, by default that of the output, was made of what lies there now."""
    folder = folder or output / REPORT_FOLDER
    made = read_sealed(folder / MADE_OF)
    listing = read_file_list(folder / FILE_LIST)
    if made is None or listing is None or made.get("digest") != _made_of(output):
        return False
    return all((folder / name).exists() for name in (*listing.files, *listing.sealed))


def report_state(output: Path) -> str:
    """``"current"``, ``"stale"`` or ``"none"``."""
    if not (output / REPORT_FOLDER / MADE_OF).exists():
        return "none"
    return "current" if report_is_current(output) else "stale"


def _report_files(figures: Report) -> dict[str, bytes]:
    """All files of a report by their names."""
    from slimpajama.report.page import page_of

    return _files_of("report", figures, page_of(figures))


def _files_of(name: str, figures: msgspec.Struct, page: Page) -> dict[str, bytes]:
    """A page, its figures as files, its tables, and all ``figures`` as they are in ``data/<name>.json``."""
    from slimpajama.report.data_files import as_csv, as_json, whole_json

    files = {PAGE: page.html, f"data/{name}.json": whole_json(figures)}
    files |= {f"figures/{drawing.name}.svg": drawing.file.encode() for drawing in page.drawings.values()}
    for table in page.tables.values():
        files |= {f"data/{table.name}.csv": as_csv(table), f"data/{table.name}.json": as_json(table)}
    return files


def _write(folder: Path, files: Mapping[str, bytes], digest: str) -> None:
    before = read_file_list(folder / FILE_LIST)
    write_sealed(folder / MADE_OF, {"digest": ""})  # whose folder it is; the digest follows when all is there
    records = []
    for name, content in files.items():
        with atomic_file(folder / name) as file:
            file.write(content)
        records.append(file.record)
    write_sealed(folder / MADE_OF, {"digest": digest})
    write_file_list(folder / FILE_LIST, folder, records, [MADE_OF])
    for name in before.files if before else ():
        if name not in files:
            try:
                remove_file(folder / name)
            except OSError as fault:
                raise cannot_write(folder / name, fault) from fault


def _refuse_foreign(folder: Path) -> None:
    """Raise where ``folder`` holds something and no report, not even one that was interrupted."""
    if not folder.exists() or read_sealed(folder / MADE_OF) is not None:
        return
    unknown = next((folder / name for name in files_in(folder, ".")), None) if folder.is_dir() else folder
    if unknown is not None:
        raise OutputError(f"{unknown} is there already and belongs to no report; move it, or give another --to")


def _made_of(output: Path) -> str:
    """A digest of what a report is made of: it changes with the decisions, texts, tokens and mixtures, and with what
    was asked for, and not with the times that a command took which had nothing to do."""
    facts: list[object] = [VERSION, read_json(output / STUDY_RESULTS)]
    for root in (output, output / "dedup", output / "mixtures"):
        request = last_request(root)
        facts.append(msgspec.to_builtins(request) if request else None)
        for path in (DedupLayout(root).file_list, StoreLayout(root / TOKENS_FOLDER).file_list):
            listing = read_file_list(path)
            if listing is not None:
                facts.append([relative_name(path, output), _lasting(listing.files)])
    return fingerprint(*facts)


def _lasting(files: Mapping[str, tuple[int, str]]) -> list[object]:
    return [[name, *fact] for name, fact in sorted(files.items()) if name.rsplit("/", 1)[-1] != SUMMARY_FILE]
