"""The finished mixtures of an output, by their manifests. Costs reading a few hundred bytes per file of a mixture."""

from __future__ import annotations

import contextlib
from pathlib import Path

from slimpajama.errors import InputError
from slimpajama.mixture.layout import HOLDOUT_FOLDER, MixtureLayout
from slimpajama.mixture.manifest import MixtureManifest, read_mixture_manifest
from slimpajama.tokens.layout import TOKENS_FOLDER
from slimpajama.tokens.store import open_store

__all__ = ["finished_mixtures", "mixture_states"]


def finished_mixtures(output: Path, fingerprint: str) -> dict[str, MixtureManifest]:
    """The mixtures in ``output`` that are of the token store with that ``fingerprint``, by name."""
    return {name: one for name, one in _mixtures(output).items() if one.store.fingerprint == fingerprint}


def mixture_states(output: Path) -> dict[str, str]:
    """All mixtures in ``output`` by name: ``"current"``, or ``"stale"`` where they are not of the token store there."""
    try:
        fingerprint = open_store(output / TOKENS_FOLDER).fingerprint
    except InputError:
        fingerprint = ""
    return {
        name: "current" if one.store.fingerprint == fingerprint else "stale" for name, one in _mixtures(output).items()
    }


def _mixtures(output: Path) -> dict[str, MixtureManifest]:
    found = {}
    for folder in sorted(output.iterdir()) if output.is_dir() else ():
        if folder.name in (TOKENS_FOLDER, HOLDOUT_FOLDER) or not MixtureLayout(folder).manifest.exists():
            continue
        with contextlib.suppress(InputError):  # of another version; verify says so
            found[folder.name] = read_mixture_manifest(folder)
    return found
