"""The figures of a mixture: what callers get, and, without the list of files, what ``summary.json`` of a run holds."""

from __future__ import annotations

import msgspec

from slimpajama.mixture.manifest import MixtureManifest

__all__ = ["MixtureSummary"]


class MixtureSummary(MixtureManifest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A manifest, and the ``seconds`` that the mixture took this time."""

    seconds: float

    @classmethod
    def of(cls, manifest: MixtureManifest, seconds: float) -> MixtureSummary:
        """The summary of the mixture with that manifest."""
        return cls(**msgspec.structs.asdict(manifest), seconds=round(seconds, 3))

    def as_dict(self) -> dict[str, object]:
        """All of it as plain values."""
        return dict(msgspec.to_builtins(self))
