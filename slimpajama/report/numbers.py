"""Numbers as people read them: counts with commas, bytes in decimal units, shares in percent, times in words."""

from __future__ import annotations

__all__ = ["amount", "count", "decimals", "duration", "percent", "share"]


def count(number: int) -> str:
    """``1,234,567``."""
    return f"{number:,}"


def amount(size: float) -> str:
    """Bytes in the decimal unit that leaves one to three digits before the point: ``34.8 MB``."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if abs(size) < 999.5 or unit == "TB":
            break
        size /= 1000
    if unit == "bytes":
        return f"{size:,.0f} {'byte' if size == 1 else 'bytes'}"
    return f"{size:,.1f} {unit}" if abs(size) < 99.95 else f"{size:,.0f} {unit}"


def percent(value: float | None) -> str:
    """A number that is percent already: ``49.6 %``; what is not zero never shows as ``0.0 %``."""
    if value is None:
        return "–"
    if 0 < abs(value) < 0.05:
        return f"{value:.2f} %" if abs(value) >= 0.005 else "< 0.01 %"
    return f"{value:.1f} %"


def share(part: float, whole: float) -> str:
    """``part`` of ``whole`` in percent; a dash where there is nothing to take a share of."""
    return percent(100 * part / whole) if whole else "–"


def decimals(value: float | None, places: int = 2) -> str:
    """A number with fixed decimals; a dash for none."""
    return "–" if value is None else f"{value:,.{places}f}"


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 5 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"
