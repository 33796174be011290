"""The Unicode form in which documents are stored: NFC, ``ftfy``'s repairs followed by NFC, or as they came.

The published scripts call ``ftfy.fix_text(normalization="NFC")``, the paper speaks of NFC alone; plain NFC is the
default because it is a hundred times faster and never guesses. ``none`` keeps every byte. Each takes time linear in the
text, whatever the text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from slimpajama.errors import ConfigError
from slimpajama.text.nfc import nfc

__all__ = ["Normalisation", "normaliser"]

Normalisation = Literal["nfc", "ftfy", "none"]


def _unchanged(text: str) -> str:
    return text


def normaliser(name: Normalisation) -> Callable[[str], str]:
    """The function from a document's text to its stored text. ``ftfy`` without the package: ``ConfigError``."""
    if name == "nfc":
        return nfc
    if name == "none":
        return _unchanged
    try:
        from slimpajama.text.ftfy_repair import fix_text
    except ImportError as fault:
        raise ConfigError(
            "normalisation is 'ftfy' but that package is not installed: pip install 'slimpajama[ftfy]'"
        ) from fault
    return fix_text
