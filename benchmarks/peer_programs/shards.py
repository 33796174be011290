"""What every program here shares: documents come in, and a list of those that are kept goes out.

It needs only the standard library, orjson and zstandard, since it runs in the environment of the tool.
"""

from __future__ import annotations

import io
import re
import string
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import zstandard

__all__ = ["Request", "documents", "finish", "published_cleaning", "shingles", "word_set"]

_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class Request:
    """The command line: shards in ``folder``, the list of kept documents to ``result``, scratch files below ``work``,
    and which of its ways the program shall go."""

    folder: Path
    result: Path
    work: Path
    variant: str

    @classmethod
    def of_command_line(cls) -> Request:
        """From ``sys.argv``."""
        folder, result, work, variant = sys.argv[1:]
        return cls(Path(folder), Path(result), Path(work), variant)


def documents(folder: Path) -> Iterator[tuple[str, str]]:
    """Id and text of each document, in the order of the names of shards."""
    for shard in sorted(folder.rglob("*.jsonl.zst")):
        with shard.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            for line in io.BufferedReader(stream):
                record = orjson.loads(line)
                yield record["id"], record["text"]


def published_cleaning(text: str) -> str:
    """``get_features`` of the SlimPajama scripts, before it cuts shingles."""
    return re.sub(r"\s+", " ", text.lower().translate(_PUNCTUATION).strip())


def shingles(text: str) -> list[str]:
    """The different runs of 13 characters of the cleaned text."""
    cleaned = published_cleaning(text)
    return list({cleaned[start : start + 13] for start in range(len(cleaned) - 12)})


def word_set(text: str) -> list[str]:
    """The different words of the text in lower case."""
    return sorted(set(text.lower().split()))


TOKENS: Mapping[str, Callable[[str], list[str]]] = {"characters": shingles, "words": word_set}
"""How each variant makes a set of a text."""


def finish(request: Request, kept: Iterable[str], survivors: Mapping[str, str] | None = None) -> None:
    """Write which documents are kept and, where the tool tells, for which one each other is removed."""
    request.result.write_bytes(orjson.dumps({"kept": list(kept), "survivors": survivors}))
