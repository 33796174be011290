"""``slimpajama verify RUN``: every output of a run is read again and checked, file by file, through the engine.

Finds what there is by itself: a deduplication and mixtures in ``RUN``, or in ``RUN/dedup`` and ``RUN/mixtures``. What
is wrong is collected, not raised, so that one call tells it all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.index import INDEX
from slimpajama.engine import Engine, Item
from slimpajama.errors import InputError, InputNotFound
from slimpajama.lock import locked_for_reading
from slimpajama.mixture.store import STORE_FILE, open_store
from slimpajama.pipeline.dedup_outputs import PIECES
from slimpajama.verify import dedup_output, mixture_files, survivors, token_store
from slimpajama.workspace import read_json

__all__ = ["Verification", "verify_run"]


@dataclass(slots=True)
class Verification:
    """``checked``: how many things of each kind were looked at. ``findings``: what is wrong, a sentence each."""

    checked: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def verify_run(output: Path, engine: Engine, *, memory: int, bars: bool = False) -> Verification:
    """Check all that ``dedup``, ``mix`` or ``run`` left in ``output``. ``memory``: bytes that an item may hold.

    Raises :class:`InputNotFound` where nothing finished is there, and :class:`WorkspaceLocked` while somebody writes.
    """
    verification = Verification()
    checks = _Checks(engine, bars, verification)
    summary = None
    dedup, mixtures = (
        next((folder for folder in (output, output / name) if (folder / file).exists()), None)
        for name, file in (("dedup", f"work/{PIECES}"), ("mixtures", f"tokens/{STORE_FILE}"))
    )
    if dedup is None and mixtures is None:
        raise InputNotFound(f"{output} holds nothing that is finished; give what --output of dedup, mix or run said")
    with contextlib.ExitStack() as stack:
        for folder in {output, dedup, mixtures} - {None}:
            stack.enter_context(locked_for_reading(folder))  # type: ignore[arg-type]
        if dedup is not None:
            _check_dedup(dedup, checks, memory)
            summary = read_json(dedup / "summary.json")
        if mixtures is not None:
            # Elsewhere than beside it, the deduplication a store was made of is not known.
            _check_mixtures(mixtures, summary if isinstance(summary, dict) else None, checks)
    return verification


@dataclass(slots=True)
class _Checks:
    engine: Engine
    bars: bool
    verification: Verification

    def run(
        self, name: str, items: Sequence[Item], function: Callable[[Item], dict[str, Any]], weights: Sequence[int]
    ) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = [{}] * len(items)
        with (
            tqdm(
                total=sum(weights), desc=f"verify {name}", unit="B", unit_scale=True, disable=not self.bars, leave=False
            ) as bar,
            contextlib.closing(self.engine.map(function, items, str, ["slimpajama.mixture.compiled"])) as finished,
        ):
            for index, result in finished:
                results[index] = result
                bar.update(weights[index])
        self.verification.checked[name] = len(items)
        for result in results:
            self.found(result["findings"])
        return results

    def found(self, findings: Sequence[str]) -> None:
        """Each once: the parts of a piece share their decisions."""
        known = self.verification.findings
        known += [finding for finding in dict.fromkeys(findings) if finding not in known]


def _check_dedup(folder: Path, checks: _Checks, memory: int) -> None:
    items = dedup_output.part_items(folder)
    results = checks.run("parts of shards", items, dedup_output.check_part, [item.bytes for item in items])
    damaged = bool(checks.verification.findings)
    checks.found(dedup_output.compare_totals(folder, results))
    if damaged:  # what cannot be read cannot be compared
        return
    decisions = [folder / name for name in dict.fromkeys(item.decisions for item in items)]
    linked = sum(result["linked"] for result in results)
    index = read_json(folder / "work" / INDEX)
    first_id = index["first_shard"] << POSITION_BITS if index else 0
    ranges = survivors.survivor_items(decisions, linked, memory, first_id)
    checks.run("ranges of clusters", ranges, survivors.check_survivors, [linked // len(ranges)] * len(ranges))


def _check_mixtures(folder: Path, summary: dict[str, Any] | None, checks: _Checks) -> None:
    try:
        store = open_store(folder / "tokens")
    except InputError as fault:
        checks.found([str(fault)])
        return
    buckets = token_store.bucket_checks(store)
    checks.run("token buckets", buckets, token_store.check_bucket, [item.bytes for item in buckets])
    damaged = bool(checks.verification.findings)
    checks.found(token_store.compare_accounts(store, summary))
    if not damaged:
        checks.run("token store", [token_store.StoreCheck(store.path)], token_store.check_whole_store, [0])
    for out in sorted(path for path in folder.iterdir() if (path / "manifest.json").exists()):
        files, findings = mixture_files.file_checks(out, store)
        checks.found(findings)
        checks.run(f"files of {out.name}", files, mixture_files.check_file, [file.entry["bytes"] for file in files])
