"""What a new request would replace in a finished output, told before anything is changed.

Running with other settings in the same output makes its results anew, which is often meant and sometimes a slip of the
``--output``. So the settings of the finished state are compared with the new ones, and one warning says what will be
replaced and why; with ``keep`` the run is refused instead. Changed input is told in
:mod:`slimpajama.pipeline.replaced_input`. Settings that change no result (``workers``, ``memory`` …)
and results that only grow are not mentioned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slimpajama.config.recipe import Recipe
from slimpajama.config.run import SampleConfig
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.summary import read_summary
from slimpajama.errors import InputError, InputNotFound, OutputError
from slimpajama.evidence.request import DedupRequest, MixRequest, RunRequest, last_request
from slimpajama.logging import LOGGER
from slimpajama.mixture.finished import finished_mixtures
from slimpajama.mixture.formats.base import lies_beside
from slimpajama.mixture.layout import MixtureLayout
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.stages.markers import changes, reasons
from slimpajama.storage.atomic import read_json
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout
from slimpajama.tokens.store import open_store

__all__ = ["announce", "replaced_dedup", "replaced_mixtures", "replaced_sample", "stale_mixtures"]

MOST_SHOWN = 5
"""Mixtures that a warning names; a swarm may have hundreds."""

HARMLESS = ("workers", "memory", "max_bad_fraction", "scope")
"""Settings of a deduplication that do not replace what is there: a scope is added to the other."""


def replaced_dedup(output: Path, request: DedupRequest) -> list[str]:
    """A sentence for what a deduplication by ``request`` would replace in ``output``."""
    layout = DedupLayout(output)
    last = last_request(output)
    if last is None or not layout.summary.exists():
        return []
    try:
        settings = read_summary(layout).settings
    except InputNotFound:
        why = "its summary is broken or of another version"
    else:
        # The last request may be of a run that was interrupted; the summary is of the one that was finished.
        before_input = last.input if isinstance(last, DedupRequest) else None
        before = {"input": before_input, "settings": _that_matter(settings.model_dump(mode="json"))}
        now = {"input": request.input, "settings": _that_matter(request.settings)}
        why = reasons(changes(before, now))
    return [f"{output} holds a finished deduplication that would be replaced ({why})"] if why else []


def replaced_sample(output: Path, sample: SampleConfig | None) -> list[str]:
    """A sentence for the built-in sample in ``output`` that one of other settings would replace."""
    last = last_request(output)
    before = last.config.get("sample") if isinstance(last, RunRequest) else None
    if before is None or sample is None or not (output / "sample").exists():
        return []
    why = reasons(changes(before, sample.model_dump(mode="json")))
    return [f"{output / 'sample'} holds a sample that would be replaced ({why})"] if why else []


def replaced_mixtures(
    output: Path, recipes: Sequence[Recipe], request: MixRequest, *, build: bool, stale: str = ""
) -> list[str]:
    """A sentence for each thing that mixtures of ``recipes``, by ``request``, would replace in ``output``.

    ``build``: the mixtures are built, too, not only the token store. ``stale``: from :func:`stale_mixtures`.
    """
    found = []
    last = last_request(output)
    if isinstance(last, MixRequest) and StoreLayout(output / TOKENS_FOLDER).index.exists():
        before = {"input": last.input, "settings": last.settings}
        why = reasons(changes(before, {"input": request.input, "settings": request.settings}))
        if why:
            found.append(f"{output / TOKENS_FOLDER} is a finished token store that would be replaced ({why}){stale}")
    for recipe in recipes if build else ():
        manifest = read_json(MixtureLayout(output / recipe.name).manifest)
        if isinstance(manifest, dict) and "recipe" in manifest:
            differ = changes({"recipe": manifest["recipe"]}, {"recipe": recipe.model_dump(mode="json")})
            formats = manifest.get("formats")
            why = reasons(differ or _same_names(formats if isinstance(formats, list) else [], request.format))
            if why:
                found.append(f"{output / recipe.name} is a finished mixture that would be replaced ({why})")
    return found


def stale_mixtures(output: Path, rebuilt: Sequence[Recipe]) -> str:
    """A clause that names the finished mixtures in ``output`` which another token store leaves behind; empty where
    there are none. ``rebuilt``: recipes whose mixtures are made again with it."""
    again = {recipe.name for recipe in rebuilt}
    try:
        finished = finished_mixtures(output, open_store(output / TOKENS_FOLDER).fingerprint)
    except InputError:
        return ""
    names = [name for name in finished if name not in again]
    if not names:
        return ""
    shown = ", ".join(names[:MOST_SHOWN]) + (", …" if len(names) > MOST_SHOWN else "")
    if len(names) == 1:
        return f", which leaves 1 finished mixture stale ({shown}): run slimpajama mix with its recipe again"
    return (
        f", which leaves {len(names):,} finished mixtures stale ({shown}): run slimpajama mix with their recipes again"
    )


def _same_names(before: Sequence[str], now: str) -> list[str]:
    """The formats that cannot lie beside another one."""
    known = [MIXTURE_FORMATS.get(name) for name in before if name in MIXTURE_FORMATS.names and name != now]
    return [
        f"format {one.name} -> {now}, whose files have the same names"
        for one in known
        if not lies_beside(one, MIXTURE_FORMATS.get(now))
    ]


def announce(replaced: Sequence[str], keep: bool) -> None:
    """Warn of what will be replaced. Raises :class:`OutputError` where it is to be kept."""
    if replaced and keep:
        raise OutputError(f"{'; '.join(replaced)}; choose another output, or do not ask to keep it (--keep)")
    for sentence in replaced:
        LOGGER.warning("%s", sentence.replace("would be replaced", "will be replaced"))


def _that_matter(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in settings.items() if name not in HARMLESS}
