"""A finished output opened for a report: its deduplication, its token store, its mixtures, and the figures of all.

``output`` may be that of ``dedup``, of ``mix`` or of ``run``. Of mixtures alone, the deduplication they were made from
is opened where it is still there. Costs reading a few JSON files; tables and tokens are read by the sections.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from slimpajama.dedup.summary import DedupSummary, StageFigures, read_summary
from slimpajama.errors import InputError, InputNotFound
from slimpajama.evidence.opened_output import Evidence, finished_layout, open_evidence
from slimpajama.evidence.request import DedupRequest, MixRequest, Request, RunRequest, read_request
from slimpajama.logging import LOGGER
from slimpajama.mixture.finished import finished_mixtures
from slimpajama.mixture.manifest import MixtureManifest
from slimpajama.storage.atomic import read_json
from slimpajama.storage.file_names import SUMMARY_FILE
from slimpajama.storage.paths import path_of
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout
from slimpajama.tokens.store import TokenStore, open_store
from slimpajama.tokens.summary import TokenSummary, read_token_summary

__all__ = ["OpenedDedup", "OpenedMixtures", "OpenedOutput", "WholeRun", "open_output"]


@dataclass(frozen=True, slots=True)
class OpenedDedup:
    """A finished deduplication: its decisions and texts, and its figures."""

    evidence: Evidence
    summary: DedupSummary
    request: DedupRequest

    @property
    def root(self) -> Path:
        """The folder of its output."""
        return self.evidence.layout.root


@dataclass(frozen=True, slots=True)
class OpenedMixtures:
    """A finished token store in ``root``/tokens, and the mixtures made of it, by name."""

    root: Path
    store: TokenStore
    summary: TokenSummary
    mixtures: dict[str, MixtureManifest]


class WholeRun(msgspec.Struct, frozen=True):
    """What the summary of a ``run`` says beside those of its parts: the time and memory of everything."""

    stages: dict[str, StageFigures]
    seconds: float
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True)
class OpenedOutput:
    """All that a report can be made of. ``missing``: why ``dedup`` or ``mixtures`` is ``None``, by that name.

    ``whole``: of a ``run``.
    """

    root: Path
    request: Request
    dedup: OpenedDedup | None
    mixtures: OpenedMixtures | None
    whole: WholeRun | None
    missing: dict[str, str] = field(default_factory=dict)


def open_output(output: str | Path) -> OpenedOutput:
    """Open a finished output.

    Raises :class:`~slimpajama.InputNotFound` where there is none, or one that is not finished.
    """
    root = path_of(output)
    request = read_request(root)
    match request:
        case DedupRequest():
            missing = {"mixtures": f"{root} is a deduplication alone; mixtures are made of it by slimpajama mix"}
            return OpenedOutput(root, request, _dedup(root), None, None, missing)
        case MixRequest():
            return _mixtures_alone(root, request)
        case RunRequest():
            return _whole_run(root, request)


def _dedup(root: Path) -> OpenedDedup:
    layout = finished_layout(root)
    request = read_request(layout.root)
    if not isinstance(request, DedupRequest):
        raise InputNotFound(f"{layout.root} is no output of a deduplication; give the output of slimpajama dedup")
    return OpenedDedup(open_evidence(layout.root), read_summary(layout), request)


def _mixtures(root: Path, names: list[str]) -> OpenedMixtures:
    """The mixtures in ``root``. ``names``: those that were asked for last; one that is not there is warned of."""
    store = open_store(root / TOKENS_FOLDER)
    summary = read_token_summary(StoreLayout(store.path))
    if summary is None:
        raise InputNotFound(f"{store.layout.summary} is missing or broken; run the command that makes it again")
    found = finished_mixtures(root, store.fingerprint)
    absent = [name for name in names if name not in found]
    if absent:
        LOGGER.warning(
            "%s was asked for the mixture %s%s, not there, so the report leaves it out; run the same command again to "
            "the end, then make the report again",
            root,
            absent[0],
            f" and {len(absent) - 1:,} others" if absent[1:] else "",
        )
    return OpenedMixtures(root, store, summary, found)


def _mixtures_alone(root: Path, request: MixRequest) -> OpenedOutput:
    mixtures = _mixtures(root, [str(recipe.get("name")) for recipe in request.recipes])
    try:
        return OpenedOutput(root, request, _dedup(path_of(request.input)), mixtures, None)
    except InputError as fault:
        missing = {"dedup": f"the deduplication that the mixtures were made from cannot be opened: {fault}"}
        return OpenedOutput(root, request, None, mixtures, None, missing)


def _whole_run(root: Path, request: RunRequest) -> OpenedOutput:
    dedup = _dedup(root / "dedup")
    try:
        whole = msgspec.convert(read_json(root / SUMMARY_FILE), WholeRun)
    except msgspec.ValidationError as fault:
        raise InputNotFound(
            f"{root} holds no finished run: {root / SUMMARY_FILE} is missing or broken; run the same command again to "
            "the end"
        ) from fault
    if not (root / "mixtures" / TOKENS_FOLDER).exists():
        missing = {"mixtures": "the config of the run names no recipes; add some to mixtures.recipes"}
        return OpenedOutput(root, request, dedup, None, whole, missing)
    return OpenedOutput(root, request, dedup, _mixtures(root / "mixtures", []), whole)
