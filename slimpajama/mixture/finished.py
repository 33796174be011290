"""The finished mixtures of an output, by their manifests. Costs reading a few hundred bytes per file of a mixture."""

from __future__ import annotations

from pathlib import Path

from slimpajama.errors import InputError
from slimpajama.mixture.layout import HOLDOUT_FOLDER, MixtureLayout
from slimpajama.mixture.manifest import MixtureManifest, read_mixture_manifest
from slimpajama.tokens.layout import TOKENS_FOLDER

__all__ = ["finished_mixtures"]


def finished_mixtures(output: Path, fingerprint: str) -> dict[str, MixtureManifest]:
    """The mixtures in ``output`` that are of the token store with that ``fingerprint``, by name."""
    found = {}
    for folder in sorted(output.iterdir()):
        if folder.name in (TOKENS_FOLDER, HOLDOUT_FOLDER) or not MixtureLayout(folder).manifest.exists():
            continue
        try:
            manifest = read_mixture_manifest(folder)
        except InputError:
            continue  # of another version; verify says so
        if manifest.store.fingerprint == fingerprint:
            found[folder.name] = manifest
    return found
