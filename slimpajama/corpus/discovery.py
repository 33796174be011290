"""From an input to the ordered shards of its sources, and to the pieces that workers read.

The files are listed (:mod:`~slimpajama.corpus.shard_listing`), their sources found
(:mod:`~slimpajama.corpus.layout`), and their shards numbered and cut (:mod:`~slimpajama.corpus.pieces`), the small ones
bundled (:mod:`~slimpajama.corpus.bundles`). Costs one ``stat`` per file, and the beginnings of at most a few hundred.
"""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from slimpajama.config.dedup import LayoutName, SourceConfig
from slimpajama.corpus.bundles import USUAL_LIMITS, BundleLimits, bundled
from slimpajama.corpus.layout import folders_of_split, layout_of
from slimpajama.corpus.lone_objects import lone_objects
from slimpajama.corpus.pieces import POSITION_BITS, Corpus, Piece, Shard, ShardFile, cut, with_entries
from slimpajama.corpus.published_split import HELD_OUT, TRAIN, published_splits
from slimpajama.corpus.shard_listing import list_shards
from slimpajama.errors import ConfigError, InputChanged, InputNotFound, ShardUnreadable
from slimpajama.storage.paths import opened, path_of

__all__ = ["POSITION_BITS", "Corpus", "Piece", "Shard", "ShardFile", "content_samples", "discover"]

MOST_SOURCES = 255

SAMPLE_BYTES = 8 << 10

SAMPLED_AT_ONCE = 16
"""Files that a thread takes at a time: to hand one over costs as much as to read a sample of it."""


def discover(
    root: Path,
    sources: Sequence[SourceConfig] = (),
    piece_bytes: int = 256 << 20,
    first_shard: int = 0,
    layout: LayoutName = "auto",
    bundles: BundleLimits = USUAL_LIMITS,
) -> Corpus:
    """The corpus below ``root``: ``sources`` as configured, or as folders and records show (see ``Config.layout``).

    Shards are numbered from ``first_shard`` on. ``bundles``: which small ones one task reads. Raises
    :class:`InputNotFound` where there is nothing to read and :class:`ConfigError` where sources cannot be told, or two
    files would be written to one path.
    """
    listing = list_shards(root)
    descriptions = lone_objects(listing.shards) if len(listing.shards) > 1 else []
    files = [file for file in listing.shards if file.relative not in {*descriptions}]
    if not files:
        raise InputNotFound(
            f"no shard below {root}: its .json files hold one indented object each, e.g. {descriptions[0]}; give "
            "JSON lines (jq -c .) or an array of records"
        )
    found = layout_of(root, files, sources, layout)
    chosen = found.sources
    if found.in_records:
        placed = [(order, file, _stem(file, "")) for order in range(len(chosen)) for file in files]
    else:
        whole = folders_of_split(files) if not sources else ()
        members = {source.name: _matching(files, source.paths, whole) for source in chosen}
        empty = [source for source in chosen if not members[source.name]]
        if empty:
            raise InputNotFound(
                f"source {empty[0].name!r} has no shard: nothing below {root} matches {', '.join(empty[0].paths)}; "
                "correct its paths or leave the source out"
            )
        _refuse_shared_files(members)
        placed = [(order, file, stem) for order, source in enumerate(chosen) for file, stem in members[source.name]]
    if any(source.name == "total" for source in chosen):
        raise ConfigError("a source cannot be called 'total', as the summary calls all of them; rename it in a config")
    if len(chosen) > MOST_SOURCES:
        raise ConfigError(
            f"{len(chosen)} sources below {root} are more than {MOST_SOURCES}; name those you mean in a config, "
            "several folders may be one source"
        )
    used = sorted({file for _, file, _ in placed}, key=lambda file: file.relative)
    used = [with_entries(file, piece_bytes) for file in used]
    unassigned = {file.relative for file in files} - {file.relative for file in used}
    position = {file.relative: index for index, file in enumerate(used)}
    splits = dict(zip(position, published_splits([*position]), strict=True))
    # What is held out comes before what is near it in train, so that it stays.
    placed.sort(key=lambda place: (place[0], splits[place[1].relative] == TRAIN, place[1].relative))
    shards = tuple(
        Shard(index, source, position[file.relative], stem)
        for index, (source, file, stem) in enumerate(placed, first_shard)
    )
    if first_shard + len(shards) >= 1 << (64 - POSITION_BITS):
        raise ConfigError(f"{len(shards):,} shards are more than ids can name (16,777,216): merge small files")
    pieces = tuple(cut(used, shards, chosen, found.keeping, piece_bytes))
    _refuse_shared_outputs(pieces)
    return Corpus(
        root,
        chosen,
        tuple(used),
        shards,
        pieces,
        bundled(pieces, bundles),
        unknown=tuple(sorted(listing.others)),
        unassigned=tuple(sorted(unassigned)),
        repeated=tuple(listing.repeated),
        descriptions=tuple(descriptions),
        held_out={split: count for split in HELD_OUT if (count := [*splits.values()].count(split))},
        in_records=found.in_records,
        first_shard=first_shard,
    )


def _stem(file: ShardFile, prefix: str) -> str:
    return file.relative.removeprefix(prefix).removesuffix(file.suffix)


def content_samples(files: Sequence[ShardFile]) -> dict[str, str]:
    """For each file, by path, a digest of its beginning, middle and end: 24 KiB of it.

    Size and time of a file tell most changes; this tells also of one that was put in another's place with both.
    Raises :class:`ShardUnreadable` and :class:`InputChanged` naming the file.
    """
    some = [files[begin : begin + SAMPLED_AT_ONCE] for begin in range(0, len(files), SAMPLED_AT_ONCE)]
    with ThreadPoolExecutor(16) as threads:  # what takes time is the storage's answer
        samples = itertools.chain.from_iterable(threads.map(_some_samples, some))
        return dict(zip((file.path for file in files), samples, strict=True))


def _some_samples(files: Sequence[ShardFile]) -> list[str]:
    return [_content_sample(file) for file in files]


def _content_sample(file: ShardFile) -> str:
    if file.version:
        return file.version
    digest = hashlib.blake2b(digest_size=16)
    try:
        with opened(path_of(file.path)) as content:
            for start in sorted({0, max(0, file.size // 2), max(0, file.size - SAMPLE_BYTES)}):
                content.seek(start)
                digest.update(content.read(SAMPLE_BYTES))
    except FileNotFoundError as fault:
        raise InputChanged(f"{file.path} has gone since the run began; put it back, or run again without it") from fault
    except OSError as fault:
        raise ShardUnreadable(
            f"cannot read {file.path}: {fault.strerror}; mend its permissions or remove it"
        ) from fault
    return digest.hexdigest()


def _matching(files: Sequence[ShardFile], patterns: Sequence[str], whole: Sequence[str]) -> list[tuple[ShardFile, str]]:
    """The files that match a pattern, with the path their outputs get: what lies below the pattern's fixed part, or all
    of it in the folders ``whole`` at the top."""
    found: dict[str, tuple[ShardFile, str]] = {}
    for pattern in patterns:
        fixed = []
        for part in pattern.split("/")[:-1]:
            if any(mark in part for mark in "*?["):
                break
            fixed.append(part)
        prefix = "/".join(fixed) + "/" if fixed and fixed[0] not in whole else ""
        wanted = f"{pattern[:-2]}*" if pattern.endswith("/**") else pattern
        for file in files:
            if fnmatch.fnmatchcase(file.relative, wanted) and file.relative not in found:
                found[file.relative] = (file, _stem(file, prefix))
    return [found[relative] for relative in sorted(found)]


def _refuse_shared_files(members: dict[str, list[tuple[ShardFile, str]]]) -> None:
    owner: dict[str, str] = {}
    for name, matched in members.items():
        for file, _ in matched:
            if file.relative in owner:
                raise ConfigError(
                    f"{file.relative} belongs to source {owner[file.relative]!r} and to source {name!r}; "
                    "narrow the paths of one"
                )
            owner[file.relative] = name


def _refuse_shared_outputs(pieces: Sequence[Piece]) -> None:
    """What is known of a piece is filed under its name, and its shards under their source and stem."""
    taken: dict[tuple[int, str], str] = {}
    for piece in pieces:
        shards = ((shard.source, shard.stem + piece.part_suffix) for shard in piece.shards)
        for output in ((-1, piece.name), *shards):
            earlier = taken.setdefault(output, piece.file.relative)
            if earlier != piece.file.relative:
                raise ConfigError(
                    f"{earlier} and {piece.file.relative} would be written to one output; "
                    "rename one, or remove it if it is a copy of the other"
                )
