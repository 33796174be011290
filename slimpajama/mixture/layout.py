"""Where every file of a mixture lies: all paths below its folder are made here and nowhere else.

The folder holds ``manifest.json``, ``README.md``, the files of sequences, and the markers of finished files in
``.done/``, which loaders of data sets skip as hidden. Costs nothing, save :attr:`MixtureLayout.is_foreign`, which lists
the folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.tokens.holdout import SPLITS

__all__ = ["TOKENIZER_FOLDER", "MixtureLayout", "is_output_file"]

TOKENIZER_FOLDER = "tokenizer"
"""The folder of a mixture that Transformers opens as a tokenizer."""

_CARD, _DONE, _MANIFEST = "README.md", ".done", "manifest.json"


@dataclass(frozen=True, slots=True)
class MixtureLayout:
    """The paths of the mixture in the folder ``root``."""

    root: Path

    @property
    def manifest(self) -> Path:
        """What the mixture was made of, and its files."""
        return self.root / _MANIFEST

    @property
    def card(self) -> Path:
        """The dataset card."""
        return self.root / _CARD

    @property
    def done(self) -> Path:
        """The folder of markers."""
        return self.root / _DONE

    def stem(self, split: str, number: int, files: int) -> Path:
        """The path, without ending, of one of the ``files`` parts of a split."""
        return self.root / f"{split}-{number:05d}-of-{files:05d}"

    @property
    def is_foreign(self) -> bool:
        """Whether something else than a mixture, begun or finished, lies in the folder."""
        if not self.root.exists():
            return False
        if not self.root.is_dir():
            return True
        names = {path.name for path in self.root.iterdir()}
        if {_MANIFEST, _DONE} & names:
            return False
        whole = (re.sub(r"\.[0-9a-f]+\.tmp$", "", name) for name in names)
        own = (_CARD, _MANIFEST, TOKENIZER_FOLDER, *_folder_names())
        return not all(name in own or is_output_file(name) for name in whole)


def _folder_names() -> list[str]:
    """Of the files that formats have beside those of sequences."""
    return [name for one in MIXTURE_FORMATS.names for name in MIXTURE_FORMATS.get(one).folder_names]


def is_output_file(name: str) -> bool:
    """Whether a file of that name in the folder of a mixture is one of its files, in any format."""
    endings = (ending for one in MIXTURE_FORMATS.names for ending in MIXTURE_FORMATS.get(one).endings)
    pattern = rf"({'|'.join(SPLITS)})-\d+-of-\d+({'|'.join(map(re.escape, endings))})(\.tmp)?"
    return re.fullmatch(pattern, name) is not None
