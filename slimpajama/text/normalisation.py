"""The Unicode form in which documents are stored: NFC, ``ftfy``'s repairs followed by NFC, or as they came.

The published scripts call ``ftfy.fix_text(normalization="NFC")``, the paper speaks of NFC alone; plain NFC is the
default because it is a hundred times faster and never guesses. ``none`` keeps every byte.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Literal

from slimpajama.errors import ConfigError

__all__ = ["Normalisation", "normaliser"]

Normalisation = Literal["nfc", "ftfy", "none"]


def _nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _unchanged(text: str) -> str:
    return text


def normaliser(name: Normalisation) -> Callable[[str], str]:
    """The function from a document's text to its stored text. ``ftfy`` without the package: ``ConfigError``."""
    if name == "nfc":
        return _nfc
    if name == "none":
        return _unchanged
    try:
        import ftfy
    except ImportError as fault:
        raise ConfigError(
            "normalisation is 'ftfy' but that package is not installed: pip install 'slimpajama[ftfy]'"
        ) from fault
    settings = ftfy.TextFixerConfig(normalization="NFC")

    def repair(text: str) -> str:
        fixed: str = ftfy.fix_text(text, settings)
        return fixed

    return repair
