"""What all structs of a report have in common: they do not change, and fields have names."""

from __future__ import annotations

import msgspec

__all__ = ["Figures"]


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures of a report."""
