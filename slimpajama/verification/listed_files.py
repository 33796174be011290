"""The files of a finished run against its list: none missing, none changed, none foreign where users look for shards.

The other checks of ``verify`` know what is in a file; these know only that each file of the list (see
:mod:`slimpajama.storage.file_list`) is the one that was written, whatever it is for. Costs reading those files once;
files that another check hashes already are left to it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from slimpajama.storage.file_list import FileList, files_in
from slimpajama.storage.sealed_json import read_sealed
from slimpajama.verification.findings import REMEDY, Checked, damage, found_reading, missing, size_of

__all__ = ["ListedFile", "check_listed", "foreign_files", "is_sound", "listed_files"]


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a run; ``record``: its size and digest, or ``None`` where the file carries its own digest.
    ``remedy``: what mends it, where that is not the same command again."""

    path: Path
    record: tuple[int, str] | None
    remedy: str = ""

    @property
    def bytes(self) -> int:
        """Its size, 0 where it is missing."""
        return self.record[0] if self.record else size_of(self.path)


def listed_files(root: Path, listing: FileList, known: Collection[Path]) -> list[ListedFile]:
    """The files of the run in ``root``, without those in ``known``, which are checked elsewhere."""
    files = [ListedFile(root / name, record) for name, record in listing.files.items()]
    files += [ListedFile(root / name, None) for name in listing.sealed]
    return [file for file in files if file.path not in known]


def is_sound(root: Path, name: str, listing: FileList | None) -> bool:
    """Whether a small file that other checks go by is as it was written; where there is no list, that is not known."""
    if listing is None or (name not in listing.files and name not in listing.sealed):
        return True
    return not check_listed(ListedFile(root / name, listing.files.get(name))).findings


def check_listed(item: ListedFile) -> Checked:
    """Check one file."""
    if item.record is not None:
        findings = damage(item.path, *item.record)
    else:
        findings = found_reading(item.path, lambda: _check_sealed(item.path))
    if item.remedy:  # a finding ends with its remedy
        findings = [f"{finding.rpartition('; ')[0]}; {item.remedy}" for finding in findings]
    return Checked(findings)


def _check_sealed(path: Path) -> list[str]:
    if read_sealed(path) is not None:
        return []
    if not path.exists():
        return [missing(path)]
    return [f"{path} is not what was written; {REMEDY}"]


def foreign_files(root: Path, listing: FileList, folders: Collection[str]) -> list[str]:
    """A finding for each file in ``folders`` below ``root`` that is not of the run; hidden ones are nobody's shards."""
    found = [name for folder in folders for name in files_in(root, folder)]
    return [
        f"{root / name} is not of this run, but lies among its files; move it elsewhere or remove it"
        for name in found
        if name not in listing.files
        and name not in listing.sealed
        and not any(part.startswith(".") for part in name.split("/"))
    ]
