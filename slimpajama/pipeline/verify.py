"""``slimpajama verify RUN``: every output of a run is read again and checked, file by file, through the engine.

Finds what there is by itself: a deduplication and mixtures in ``RUN``, or in ``RUN/dedup`` and ``RUN/mixtures``. What
is wrong is collected, not raised, so that one call tells it all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from slimpajama.config.dedup import load_config
from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.files.key_index import read_index
from slimpajama.dedup.files.layout import BOTH, DedupLayout
from slimpajama.dedup.summary import DedupSummary, read_summary
from slimpajama.engine import Engine, Item
from slimpajama.engine.choice import EngineChoice
from slimpajama.engine.resources import task_bytes
from slimpajama.errors import InputError, InputNotFound
from slimpajama.evidence.request import RunRequest, last_request
from slimpajama.mixture.layout import HOLDOUT_FOLDER, MixtureLayout
from slimpajama.pipeline.report import REPORT_FOLDER
from slimpajama.pipeline.verify_removals import removal_findings
from slimpajama.stages.progress import SILENT, Progress, StageStart, progress_for
from slimpajama.storage.file_list import FILE_LIST, FileList, read_file_list
from slimpajama.storage.lock import locked_for_reading
from slimpajama.storage.paths import path_of, relative_name
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout
from slimpajama.tokens.store import TokenStore, open_store
from slimpajama.verification import dedup_output, listed_files, mixture_files, survivors, token_store
from slimpajama.verification.findings import Checked

__all__ = ["Verification", "verify", "verify_run"]

Found = TypeVar("Found", bound=Checked)


@dataclass(slots=True)
class Verification:
    """``checked``: how many things of each kind were looked at. ``findings``: what is wrong, a sentence
    each with the file and a remedy; empty if all is well."""

    checked: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def verify(
    output: str | Path,
    *,
    workers: int | None = None,
    memory: int | str | None = None,
    progress: bool | Progress = False,
    engine: EngineChoice | None = None,
) -> Verification:
    """Read every output of a deduplication, of mixtures or of a whole run again and check it. Changes nothing.

    What is wrong is returned, not raised. ``workers`` and ``memory`` (bytes or ``"8GiB"``): for this call. Raises
    :class:`~slimpajama.InputNotFound` where nothing finished is there.
    """
    machine = load_config(workers=workers, memory=memory)
    with (engine or EngineChoice()).opened(machine) as opened:
        return verify_run(path_of(output), opened, memory=task_bytes(machine), progress=progress_for(progress))


def verify_run(output: Path, engine: Engine, *, memory: int, progress: Progress = SILENT) -> Verification:
    """Check all that ``dedup``, ``mix`` or ``run`` left in ``output``. ``memory``: bytes that an item may hold.

    Raises :class:`InputNotFound` where nothing finished is there, and :class:`WorkspaceLocked` while somebody writes.
    """
    verification = Verification()
    checks = _Checks(engine, progress, verification)
    summary = None
    dedup = next((folder for folder in (output, output / "dedup") if _holds_dedup(folder)), None)
    mixtures = next((folder for folder in (output, output / "mixtures") if _holds_mixtures(folder)), None)
    whole = (output / FILE_LIST).exists() or isinstance(last_request(output), RunRequest)
    inside = StoreLayout(output).index.exists()  # the folder of a token store, which is checked with its mixtures
    if inside or (dedup is None and mixtures is None and not whole):
        raise InputNotFound(f"{output} holds nothing that is finished; give what --output of dedup, mix or run said")
    with contextlib.ExitStack() as stack:
        for folder in {output, dedup, mixtures} - {None}:
            stack.enter_context(locked_for_reading(folder))  # type: ignore[arg-type]
        if dedup is not None:
            summary = _check_dedup(dedup, checks, memory)
        if mixtures is not None:
            # Elsewhere than beside it, the deduplication a store was made of is not known.
            _check_mixtures(mixtures, summary, checks)
        if whole:
            _check_list(output, checks, _list_of(output / FILE_LIST, output, checks), set(), [], "run")
        if (output / REPORT_FOLDER / FILE_LIST).exists():
            _check_report(output / REPORT_FOLDER, checks)
    return verification


def _holds_dedup(folder: Path) -> bool:
    layout = DedupLayout(folder)
    return layout.manifest.exists() or layout.file_list.exists()


def _holds_mixtures(folder: Path) -> bool:
    store = StoreLayout(folder / TOKENS_FOLDER)
    return store.index.exists() or store.file_list.exists()


@dataclass(slots=True)
class _Checks:
    engine: Engine
    progress: Progress
    verification: Verification

    def run(
        self, name: str, items: Sequence[Item], function: Callable[[Item], Found], weights: Sequence[int]
    ) -> list[Found]:
        results: dict[int, Found] = {}
        self.progress.started(StageStart(f"verify {name}", 0, 0, sum(weights), 0))
        kernels = ["slimpajama.tokens.compiled"]
        try:
            with contextlib.closing(self.engine.map(function, items, str, kernels)) as finished:
                for index, result in finished:
                    results[index] = result
                    self.progress.advanced(weights[index])
        finally:
            self.progress.finished()
        self.verification.checked[name] = len(items)
        in_order = [results[index] for index in range(len(items))]
        for result in in_order:
            self.found(result.findings)
        return in_order

    def found(self, findings: Sequence[str]) -> None:
        """Each once: the parts of a piece share their decisions."""
        known = self.verification.findings
        known += [finding for finding in dict.fromkeys(findings) if finding not in known]


def _list_of(path: Path, root: Path, checks: _Checks) -> FileList | None:
    listing = read_file_list(path)
    if listing is None:
        checks.found([f"{path} is missing or damaged; run the same command again: it is written when all is done"])
    return listing


def _check_list(
    root: Path, checks: _Checks, listing: FileList | None, known: set[Path], folders: Sequence[str], what: str
) -> None:
    """All listed files that are not ``known`` to be checked already, and that ``folders`` hold no others."""
    if listing is None:
        return
    files = listed_files.listed_files(root, listing, known)
    checks.run(f"other files of the {what}", files, listed_files.check_listed, [file.bytes for file in files])
    checks.found(listed_files.foreign_files(root, listing, folders))


def _check_report(folder: Path, checks: _Checks) -> None:
    """The page and its files, against the list that lies with them."""
    listing = read_file_list(folder / FILE_LIST)
    remedy = f"slimpajama report {folder.parent} makes it again"
    if listing is None:
        checks.found([f"{folder / FILE_LIST} is damaged; {remedy}"])
        return
    files = [replace(file, remedy=remedy) for file in listed_files.listed_files(folder, listing, set())]
    checks.run("files of the report", files, listed_files.check_listed, [file.bytes for file in files])


def _check_dedup(folder: Path, checks: _Checks, memory: int) -> DedupSummary | None:
    """Returns the summary, where it is sound."""
    layout = DedupLayout(folder)
    listing = _list_of(layout.file_list, folder, checks)
    manifest, index, figures = (
        listed_files.is_sound(folder, layout.relative(path), listing)
        for path in (layout.manifest, layout.index, layout.summary)
    )
    if not layout.index.exists():
        checks.found([_unfinished(folder)])
    known = _check_parts(folder, checks, memory, figures and index) if manifest else set()
    if manifest and not checks.verification.findings:
        compared, wrong = removal_findings(folder, checks.engine, checks.progress)
        checks.found(wrong)
        if compared:
            checks.verification.checked["removals compared again"] = compared
    if layout.index.exists():  # else a run may have begun to replace what is listed
        _check_list(folder, checks, listing, known, layout.user_folders, "deduplication")
    try:
        return read_summary(layout) if figures else None
    except InputNotFound:
        return None  # the comparison of totals has said so


def _unfinished(folder: Path) -> str:
    index = DedupLayout(folder).index
    return (
        f"the last run of the deduplication into {folder} did not reach its end ({index} is missing), "
        "so results of two runs may lie there, and its files in work/ are not checked; mend what it stopped at, if it "
        f"named something, and run the same command again: slimpajama status {folder} shows how far it came"
    )


def _check_parts(folder: Path, checks: _Checks, memory: int, whole: bool) -> set[Path]:
    """Shards and decisions; returns their paths. ``whole``: summary and index can be gone by."""
    try:
        items = dedup_output.part_items(folder)
    except InputNotFound as fault:
        checks.found([str(fault)])
        return set()
    before = len(checks.verification.findings)
    results = checks.run("parts of shards", items, dedup_output.check_part, [item.bytes for item in items])
    damaged = len(checks.verification.findings) > before
    if whole:
        checks.found(dedup_output.compare_totals(folder, results))
    if whole and not damaged:  # what cannot be read cannot be compared
        decisions = [folder / name for name in dict.fromkeys(item.decisions for item in items)]
        in_clusters = [sum(result.in_clusters[scope] for result in results) for scope in range(len(BOTH))]
        index = read_index(folder)
        first_id = index.first_shard << POSITION_BITS if index else 0
        ranges = survivors.survivor_items(decisions, in_clusters, memory, first_id)
        each = sum(in_clusters) // len(ranges)
        checks.run("ranges of clusters", ranges, survivors.check_survivors, [each] * len(ranges))
    shards = {path_of(file.path) for item in items for _, _, file, _ in item.shards}
    return {folder / item.decisions for item in items} | shards


def _check_mixtures(folder: Path, summary: DedupSummary | None, checks: _Checks) -> None:
    layout = StoreLayout(folder / TOKENS_FOLDER)
    listing = _list_of(layout.file_list, folder, checks)
    known: set[Path] = set()
    names = sorted(path.name for path in folder.iterdir() if MixtureLayout(path).manifest.exists())
    try:
        store = open_store(layout.root)
    except InputError as fault:
        checks.found([str(fault)])
    else:
        known |= _check_store(store, folder, summary, checks, _is_sound(layout.summary, folder, listing))
        for name in names:
            if _is_sound(MixtureLayout(folder / name).manifest, folder, listing):
                checking = mixture_files.holdout_checks if name == HOLDOUT_FOLDER else mixture_files.file_checks
                files, findings = checking(folder / name, store)
                checks.found(findings)
                sizes = [file.entry.bytes for file in files]
                checks.run(f"files of {name}", files, mixture_files.check_file, sizes)
                known |= {file.path for file in files}
    _check_list(folder, checks, listing, known, (relative_name(layout.sources, folder), *names), "mixtures")


def _is_sound(path: Path, folder: Path, listing: FileList | None) -> bool:
    return listed_files.is_sound(folder, relative_name(path, folder), listing)


def _check_store(
    store: TokenStore, folder: Path, summary: DedupSummary | None, checks: _Checks, accounts: bool
) -> set[Path]:
    """The buckets of a store; returns their paths. ``accounts``: its summary can be gone by."""
    before = len(checks.verification.findings)
    buckets = token_store.bucket_checks(store)
    checks.run("token buckets", buckets, token_store.check_bucket, [item.bytes for item in buckets])
    damaged = len(checks.verification.findings) > before
    if accounts:
        checks.found(token_store.compare_accounts(store, summary))
    if not damaged:
        checks.run("token store", [token_store.StoreCheck(store.path)], token_store.check_whole_store, [0])
    return {path for bucket in buckets for path in bucket.paths}
