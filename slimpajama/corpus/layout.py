"""Whose the shards are: their folders say it, or their records do.

In RedPajama's layout each source has a folder. In SlimPajama's, each record names its source in
``meta.redpajama_set_name``, and folders mean nothing. Folders alone do not tell which it is, so the first records are
looked at (:mod:`~slimpajama.corpus.labels`). A name that a record comes with is never replaced, unless a setting asks
for it; where folders and records contradict each other the run is refused, with the settings that decide it. Folders
``train``, ``validation`` and ``test`` of a published split count as one. Rejected: guessing by the names of folders,
which gave records of SlimPajama's ``train/chunk1`` the source "chunk1".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slimpajama.config.dedup import REDPAJAMA_SET_NAMES, LayoutName, SourceConfig
from slimpajama.corpus.file_formats import suffix_of
from slimpajama.corpus.labels import FileLabels, read_labels, spread
from slimpajama.corpus.pieces import ShardFile
from slimpajama.corpus.published_split import HELD_OUT, TRAIN
from slimpajama.errors import ConfigError
from slimpajama.storage.paths import is_remote

__all__ = ["Layout", "folders_of_split", "layout_of"]

_PUBLISHED = {label: name for name, label in REDPAJAMA_SET_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Layout:
    """``sources`` in order; ``in_records``: each record names its source; ``keeping``: for each source, whether its
    records keep the names of sources that they come with."""

    sources: tuple[SourceConfig, ...]
    in_records: bool
    keeping: tuple[bool, ...]


def folders_of_split(files: Iterable[ShardFile]) -> tuple[str, ...]:
    """The folders ``train``, ``validation`` and ``test`` at the top, where there is such a split."""
    folders = {_folder(file.relative) for file in files}
    held_out = tuple(name for name in HELD_OUT if name in folders)
    return (TRAIN, *held_out) if held_out and TRAIN in folders else ()


def layout_of(root: Path, files: Sequence[ShardFile], configured: Sequence[SourceConfig], wanted: LayoutName) -> Layout:
    """The sources of ``files``: those ``configured``, or those found as ``wanted``.

    Raises :class:`ConfigError` where folders and records disagree, and where a name can be no source's.
    """
    if configured and wanted != "records":
        keeping = tuple(wanted == "auto" and source.set_name == _default(source).set_name for source in configured)
        return Layout(tuple(configured), False, keeping)
    if wanted == "folders":
        return _by_folders(root, files, {}, keeping=False)
    found = read_labels(spread(files))
    labelled = [one for one in found if one.labels]
    labels = frozenset().union(*(one.labels for one in found))
    if wanted == "records":
        _refuse_unlabelled(found, labels)
        return _by_records(labels, configured)
    if not labelled:
        return _by_folders(root, files, {}, keeping=True)
    whole = folders_of_split(files)
    of_folder: dict[str, set[str]] = {}
    for one in labelled:
        of_folder.setdefault(_joined(one.folder, whole), set()).update(one.labels)
    if _agree(of_folder, _folders(files)):
        return _by_folders(root, files, {folder: label for folder, (label,) in of_folder.items()}, keeping=True)
    _refuse_disagreement(found, labelled)
    return _by_records(labels, ())


def _agree(of_folder: dict[str, set[str]], folders: set[str]) -> bool:
    """Whether folders can be the sources: in each, all records name one source, which is no other folder's."""
    if any(len(labels) > 1 for labels in of_folder.values()):
        return False
    if "" in of_folder and len(folders) > 1:
        return False  # files beside the folders belong to none
    owners = [next(iter(labels)) for labels in of_folder.values()]
    if len(set(owners)) < len(owners):
        return False
    return all(
        label == REDPAJAMA_SET_NAMES.get(_source_name(folder))
        or (label not in _PUBLISHED and _source_name(folder) not in REDPAJAMA_SET_NAMES)
        for folder, label in zip(of_folder, owners, strict=True)
    )


def _refuse_disagreement(found: Sequence[FileLabels], labelled: Sequence[FileLabels]) -> None:
    for one in labelled:
        own = REDPAJAMA_SET_NAMES.get(_source_name(one.folder))
        if own is not None and one.labels != {own}:
            other = sorted(one.labels - {own})[0]
            raise ConfigError(
                f"folders and records disagree: the folder {one.folder!r} stands for {own}, but records of "
                f"{one.relative} have meta.redpajama_set_name {other!r}; set layout=records to go by the records, or "
                "layout=folders to go by the folders and replace what the records say"
            )
    unlabelled = [one for one in found if one.unlabelled and not one.labels]
    if unlabelled:
        raise ConfigError(
            f"folders and records disagree: records of {labelled[0].relative} name their source in "
            f"meta.redpajama_set_name, but those of {unlabelled[0].relative} do not; set layout=folders to go by the "
            "folders and replace what the records say, or leave one of the two out"
        )


def _refuse_unlabelled(found: Sequence[FileLabels], labels: frozenset[str]) -> None:
    if not labels and any(one.unlabelled for one in found):
        example = next(one.relative for one in found if one.unlabelled)
        raise ConfigError(
            f"layout is 'records', but the first records of {example} have no meta.redpajama_set_name; set "
            "layout=folders, or list the sources in a config"
        )


def _by_folders(root: Path, files: Sequence[ShardFile], labels: dict[str, str], *, keeping: bool) -> Layout:
    """RedPajama's folders that exist, then other folders by name; without a folder, one source of all files."""
    folders = sorted(_folders(files) - {""})
    whole = folders_of_split(files)
    if not folders:
        label = labels.get("")
        sources = [_renamed(SourceConfig(name=_name_of(root, label), paths=("*",)), label)]
    else:
        published = [
            source
            for source in map(_source, REDPAJAMA_SET_NAMES)
            if any(_folder(path) in folders for path in source.paths)
        ]
        known = {_folder(path) for source in published for path in source.paths}
        others = [_source(folder) for folder in folders if folder not in known]
        if whole:
            paths = tuple(f"{folder}/**" for folder in whole)
            others = [one.model_copy(update={"paths": paths}) if one.name == TRAIN else one for one in others]
        sources = [*published, *(_renamed(source, labels.get(source.name)) for source in others)]
    return Layout(tuple(sources), False, (keeping,) * len(sources))


def _by_records(labels: frozenset[str], configured: Sequence[SourceConfig]) -> Layout:
    """The sources that are ``configured``, or all seven published ones if one is named, and others by name."""
    if configured:
        for source in configured:
            if source.paths != _default(source).paths:
                raise ConfigError(
                    f"source {source.name!r} has paths, but layout is 'records': each record names its source there, "
                    "wherever it lies; leave out the paths or the layout"
                )
        unknown = sorted(labels - {source.set_name for source in configured})
        if unknown:
            raise ConfigError(
                f"records name the source {unknown[0]!r}, which is none of the configured: add "
                f"{{name: …, set_name: {unknown[0]}}} to sources"
            )
        sources = list(configured)
    else:
        others = sorted(labels - set(_PUBLISHED))
        published = [_source(name) for name in REDPAJAMA_SET_NAMES] if len(others) < len(labels) or not others else []
        # Beside published names, one that cannot be a folder is a fault of its records, which the first stage counts.
        others = [label for label in others if not published or (_is_name(label) and label not in REDPAJAMA_SET_NAMES)]
        sources = [*published, *map(_named_by, others)]
    return Layout(tuple(sources), True, (True,) * len(sources))


def _named_by(label: str) -> SourceConfig:
    try:
        return SourceConfig(name=label, set_name=label)
    except ValidationError as fault:
        raise ConfigError(
            f"records name the source {label!r}, which cannot be the name of a folder; list the sources in a config, "
            "each with a name and its set_name, with layout: records"
        ) from fault


def _renamed(source: SourceConfig, label: str | None) -> SourceConfig:
    return source if label is None else source.model_copy(update={"set_name": label})


def _source(name: str) -> SourceConfig:
    try:
        return SourceConfig(name=name)
    except ValidationError as fault:
        raise ConfigError(
            f"the folder {name!r} cannot name a source: names are made of A-Z, a-z, 0-9, '.', '_' and '-' and begin "
            "with a letter or a digit; rename the folder, or list the sources in a config"
        ) from fault


def _default(source: SourceConfig) -> SourceConfig:
    """As if only its name had been given."""
    return SourceConfig(name=source.name)


def _name_of(root: Path, label: str | None) -> str:
    """A name for the one source of all files: its label, or else the folder's or file's name, as far as it can be."""
    if label is not None and _is_name(label):
        return label
    name = root.name if is_remote(root) else os.path.basename(os.path.abspath(root))
    name = name.removesuffix(suffix_of(name) or "")
    return _source_name(re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip("_.-")) or "input"


def _is_name(text: str) -> bool:
    pattern: Any = SourceConfig.model_fields["name"].metadata[0]
    return re.search(pattern.pattern, text) is not None


def _source_name(folder: str) -> str:
    return "books" if folder == "book" else folder


def _folders(files: Sequence[ShardFile]) -> set[str]:
    """The first folders of all files; those of a split are one."""
    whole = folders_of_split(files)
    return {_joined(_folder(file.relative), whole) for file in files}


def _joined(folder: str, whole: Sequence[str]) -> str:
    return TRAIN if folder in whole else folder


def _folder(path: str) -> str:
    """The first folder of a path or pattern, or nothing."""
    return path.split("/")[0] if "/" in path else ""
