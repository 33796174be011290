"""RedPajama-1T's record of each source: key order, metadata fields, and JSON as its files have it.

C4, GitHub, ArXiv and StackExchange escape what is not ASCII, the others are raw UTF-8; separators are ``", "``
and ``": "``, as in the published files. So the frame of a record is the standard library's JSON and only its text
goes through ``orjson``, which can write neither but gives the same string ten times faster. Metadata are invented
from the document's key; ``line_count``, ``max_line_length``, ``avg_line_length`` and ``alnum_prop`` of a GitHub
record are true of its text (the last but for text beyond ASCII). Rejected: constant metadata (a reader that mixes
up two records would not be noticed).
"""

from __future__ import annotations

import json

import numpy as np
import orjson

from slimpajama.sample.lexicon import Lexicon
from slimpajama.sample.programs import LANGUAGES, language_of
from slimpajama.sample.random_streams import RandomStream, derive_key
from slimpajama.sample.sources import DUMPS, KINDS

__all__ = ["record_line"]

_ALPHANUMERIC = np.array([chr(byte).isalnum() for byte in range(128)] + [True] * 128)
_LICENCES = ("mit", "apache-2.0", "bsd-3-clause", "bsd-2-clause", "isc")
_PUBLIC = 0x3E7A


def record_line(kind: int, key: int, text: str, words: Lexicon) -> bytes:
    """One line of JSONL, newline included, for a document of ``kind`` whose key is ``key``."""
    stream = RandomStream(derive_key(key, _PUBLIC))
    name = KINDS[kind].name
    escaped = KINDS[kind].ascii_json and not text.isascii()
    encoded = json.dumps(text).encode() if escaped else orjson.dumps(text)
    if name == "common_crawl":
        return b'{"text": ' + encoded + b", " + json.dumps(_common_crawl(stream)).encode()[1:] + b"\n"
    return b'{"text": ' + encoded + b', "meta": ' + json.dumps(_META[name](stream, text, words, key)).encode() + b"}\n"


def _common_crawl(stream: RandomStream) -> dict[str, object]:
    label = stream.below(2)
    certainty = (5000 + stream.below(5000)) / 10000
    dump, line = stream.choice(DUMPS), stream.below(400_000)
    return {
        "pred_label": ("__label__cc", "__label__wiki")[label],
        "pred_label_prob": certainty,
        "wiki_prob": certainty if label else round(1 - certainty, 4),
        "source": f"cc/{dump}/en_head_{stream.below(100):04}.json.gz/line{line}",
    }


def _time(stream: RandomStream, first_year: int, years: int) -> str:
    month, second = divmod(stream.below(12 * years * 2_419_200), 2_419_200)  # four weeks of a month
    day, second = divmod(second, 86_400)
    return (
        f"{first_year + month // 12}-{1 + month % 12:02}-{1 + day:02}"
        f"T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    )


def _c4(stream: RandomStream, text: str, words: Lexicon, key: int) -> dict[str, object]:
    address = f"https://www.{words.word(stream)}.com/{words.word(stream)}-{words.word(stream)}/"
    return {"timestamp": _time(stream, 2019, 1) + "Z", "url": address, "language": "en", "source": "c4"}


def _github(stream: RandomStream, text: str, words: Lexicon, key: int) -> dict[str, object]:
    language = language_of(key)
    encoded = np.frombuffer(text.encode(), dtype=np.uint8)
    widths = [len(line) for line in text.split("\n")]
    other = stream.choice(LANGUAGES)
    return {
        "content_hash": f"{stream.number():016x}{stream.number():016x}",
        "timestamp": "",
        "source": "github",
        "line_count": len(widths),
        "max_line_length": max(widths),
        "avg_line_length": sum(widths) / len(widths),
        "alnum_prop": np.count_nonzero(_ALPHANUMERIC[encoded]) / max(1, encoded.size),
        "repo_name": f"{words.word(stream)}/{words.word(stream)}",
        "id": str(stream.number()),
        "size": str(encoded.size),
        "binary": False,
        "copies": str(1 + stream.below(4)),
        "ref": "refs/heads/master",
        "path": f"{words.word(stream)}/{words.word(stream)}.{language.suffix}",
        "mode": "33188",
        "license": stream.choice(_LICENCES),
        "language": [
            {"name": language.name, "bytes": str(encoded.size + stream.below(1 << 20))},
            {"name": other.name, "bytes": str(stream.below(1 << 16))},
        ],
    }


def _books(stream: RandomStream, text: str, words: Lexicon, key: int) -> dict[str, object]:
    return {
        "short_book_title": words.phrase(stream, 2 + stream.below(3)),
        "publication_date": 1800 + stream.below(119),
        "url": f"http://www.gutenberg.org/ebooks/{1 + stream.below(70_000)}",
    }


def _arxiv(stream: RandomStream, text: str, words: Lexicon, key: int) -> dict[str, object]:
    month = f"{8 + stream.below(15):02}{1 + stream.below(12):02}"
    name = f"{month}.{1 + stream.below(9999):04}"
    return {
        "timestamp": _time(stream, 2008, 15) + "Z",
        "yymm": month,
        "arxiv_id": name,
        "language": "en",
        "url": f"https://arxiv.org/abs/{name}",
    }


def _wikipedia(stream: RandomStream, text: str, words: Lexicon, key: int) -> dict[str, object]:
    title = text.partition("\n")[0][:80]
    address = f"https://en.wikipedia.org/wiki/{words.phrase(stream, 2).replace(' ', '%20')}"
    return {"title": title, "url": address, "language": "en", "timestamp": "20230320"}


def _stackexchange(stream: RandomStream, text: str, words: Lexicon, key: int) -> dict[str, object]:
    return {
        "language": "en",
        "url": f"https://stackoverflow.com/questions/{1 + stream.below(75_000_000)}",
        "timestamp": _time(stream, 2008, 15),
        "source": "stackexchange",
        "question_score": str(stream.below(60) - 4),
    }


_META = {
    "c4": _c4,
    "github": _github,
    "books": _books,
    "arxiv": _arxiv,
    "wikipedia": _wikipedia,
    "stackexchange": _stackexchange,
}
