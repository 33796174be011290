"""The setting ``shingle``: what a document is cut into before it is compared."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LONGEST_SHINGLE", "SHORTEST_SHINGLE", "ShingleConfig", "ShingleUnit"]

ShingleUnit = Literal["character", "word"]

SHORTEST_SHINGLE, LONGEST_SHINGLE = 3, 64


class ShingleConfig(BaseModel):
    """A shingle is ``length`` successive units of the cleaned text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: ShingleUnit = Field(
        description="`character`: code points; `word`: what stands between white space, but each letter of Han, "
        "Hiragana, Katakana, Thai, Lao, Khmer and Burmese by itself, for they are written without spaces"
    )
    length: int = Field(ge=SHORTEST_SHINGLE, le=LONGEST_SHINGLE, description="units in a shingle")

    def __str__(self) -> str:
        return f"{self.length} {self.unit}s"
