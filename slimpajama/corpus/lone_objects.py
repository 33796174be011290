"""Which ``.json`` files hold one indented object and no records, as ``dataset_info.json`` beside shards does.

Such a file describes data; read as records it would stop the run at its first line. It is told by its beginning: a
brace alone on the first line. Costs one small read for each uncompressed ``.json`` file. Rejected: a list of names, as
every tool has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from slimpajama.corpus.pieces import ShardFile
from slimpajama.errors import ShardUnreadable
from slimpajama.storage.paths import opened, path_of

__all__ = ["lone_objects"]

_BEGINNING = 256
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def lone_objects(files: Sequence[ShardFile]) -> list[str]:
    """The relative paths of those files, in order. Raises :class:`ShardUnreadable` for one that cannot be read."""
    candidates = [file for file in files if file.format.may_be_description and file.codec.plain]
    with ThreadPoolExecutor(16) as threads:  # what takes time is the storage's answer
        found = list(threads.map(_is_lone_object, candidates))
    return [file.relative for file, alone in zip(candidates, found, strict=True) if alone]


def _is_lone_object(file: ShardFile) -> bool:
    try:
        with opened(path_of(file.path)) as content:
            beginning = content.read(_BEGINNING)
    except OSError as fault:
        raise ShardUnreadable(f"cannot read {file.path}: {fault.strerror or fault}; mend or remove it") from fault
    lines = beginning.removeprefix(_BYTE_ORDER_MARK).lstrip().splitlines()
    return len(lines) > 1 and lines[0].strip() == b"{"
