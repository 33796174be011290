"""Where every file of a mixture and of the shared holdout lies: all paths below their folders are made here.

A folder holds ``manifest.json``, ``README.md``, the files of sequences, and the markers of finished files in
``.done/``, which loaders of data sets skip as hidden. Costs nothing, save :attr:`MixtureLayout.is_foreign`, which lists
the folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from slimpajama.mixture.formats.provenance import PROVENANCE_ENDING
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.storage.paths import relative_name
from slimpajama.tokens.holdout import SPLITS

__all__ = ["HOLDOUT_FOLDER", "TOKENIZER_FOLDER", "HoldoutLayout", "MixtureLayout", "is_holdout_file", "is_output_file"]

TOKENIZER_FOLDER = "tokenizer"
"""The folder of a mixture that Transformers opens as a tokenizer."""

HOLDOUT_FOLDER = "holdout"
"""The folder of the shared holdout in an output of mixtures."""

_CARD, _DONE, _MANIFEST = "README.md", ".done", "manifest.json"


@dataclass(frozen=True, slots=True)
class _SequencesLayout:
    """What the folder ``root`` of a mixture and that of the shared holdout have in common."""

    root: Path

    @property
    def manifest(self) -> Path:
        """What its files were made of, and which they are."""
        return self.root / _MANIFEST

    @property
    def card(self) -> Path:
        """The dataset card."""
        return self.root / _CARD

    @property
    def done(self) -> Path:
        """The folder of markers."""
        return self.root / _DONE


@dataclass(frozen=True, slots=True)
class MixtureLayout(_SequencesLayout):
    """The paths of the mixture in the folder ``root``."""

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


@dataclass(frozen=True, slots=True)
class HoldoutLayout(_SequencesLayout):
    """The paths of the holdout that all mixtures of an output share, in the folder ``root``."""

    def stem(self, source: str, split: str, shape: str, number: int, files: int, *, indexed: bool = False) -> Path:
        """The path, without ending, of one of the ``files`` parts of a source's split in sequences of one shape.

        ``indexed``: the format has an index beside its files, so that each split and shape needs a folder.
        """
        part = f"{number:05d}-of-{files:05d}"
        if indexed:
            return self.root / source / f"{split}-{shape}" / f"{split}-{part}"
        return self.root / source / f"{split}-{shape}-{part}"

    def relative(self, path: Path | str) -> str:
        """A path below the root, with forward slashes."""
        return relative_name(path, self.root)


def is_output_file(name: str) -> bool:
    """Whether a file of that name in the folder of a mixture is one of its files, in any format."""
    return re.fullmatch(rf"({'|'.join(SPLITS)})-\d+-of-\d+{_endings()}", name) is not None


def is_holdout_file(name: str) -> bool:
    """Whether a path below the folder of the shared holdout is that of one of its files, in any format."""
    split, folder, indexes = rf"({'|'.join(SPLITS[1:])})", "[^/]+", "|".join(map(re.escape, _folder_names()))
    part = rf"\d+-of-\d+{_endings()}"
    forms = (rf"{split}-{folder}-{part}", rf"{split}-{folder}/({split}-{part}|({indexes})(\.tmp)?)")
    return any(re.fullmatch(f"{folder}/{form}", name) for form in forms)


def _endings() -> str:
    endings = [ending for one in MIXTURE_FORMATS.names for ending in MIXTURE_FORMATS.get(one).endings]
    endings.append(PROVENANCE_ENDING)
    return rf"({'|'.join(map(re.escape, endings))})(\.tmp)?"
