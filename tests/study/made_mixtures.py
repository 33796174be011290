"""An output of ``slimpajama mix`` in small: mixtures of two sources that a model can learn, a holdout, a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.storage.atomic import file_record

LENGTH = 32
VOCABULARY = 48
END = 0
STORE = {"fingerprint": "f", "vocabulary": VOCABULARY, "end_of_text": END}


def sequences(source: str, rows: int, seed: int) -> NDArray[np.int64]:
    """``letters`` runs up in steps of one, ``numbers`` in steps of three, each from a place drawn by ``seed``."""
    low, step = (1, 1) if source == "letters" else (24, 3)
    starts = np.random.default_rng(seed).integers(0, 23, (rows, 1))
    return low + (starts + step * np.arange(LENGTH)) % 23


def table(tokens: NDArray[np.int64]) -> pa.Table:
    ids = pa.FixedSizeListArray.from_arrays(pa.array(tokens.ravel(), pa.uint16()), LENGTH)
    return pa.table({"input_ids": ids, "doc_starts": pa.array([[0]] * len(tokens), pa.list_(pa.int32()))})


def tokenizer(file: Path) -> None:
    """A byte-level tokenizer without merges: a token is a byte, but for the end of text."""
    entries = [chr(ord("A") + number) for number in range(VOCABULARY - 1)]
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    vocabulary = {"<end>": END} | {text: 1 + at for at, text in enumerate(entries)}
    content = {
        "added_tokens": [{"id": END, "content": "<end>", "special": True, **plain}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def recorded(path: Path) -> dict[str, object]:
    """Size and digest of a file, as a manifest has them."""
    record = file_record(path)
    return {"bytes": record.bytes, "blake2b": record.blake2b}


def mixture(folder: Path, shares: dict[str, int], *, scope: str = "global", seed: int = 1) -> None:
    """Sequences of each source, so many, shuffled."""
    parts = [sequences(source, rows, seed * 10 + at) for at, (source, rows) in enumerate(shares.items())]
    rows = np.random.default_rng(seed).permutation(np.concatenate(parts))
    folder.mkdir(parents=True)
    pq.write_table(table(rows), folder / "train-00000-of-00001.parquet", row_group_size=16)
    total = len(rows)
    sources = [
        {
            "source": source,
            "share": count / total,
            "first": 0,
            "sequences": count,
            "tokens": count * LENGTH,
            "available": count * LENGTH,
            "distinct": count * LENGTH,
            "epochs": 1.0,
            "unused": 0,
        }
        for source, count in shares.items()
    ]
    manifest = {
        "version": 2,
        "recipe": {"name": folder.name, "packing": "concat", "weights": shares, "scope": scope},
        "plan": {"sequences": total, "tokens": total * LENGTH, "sources": sources},
        "store": STORE,
        "formats": ["parquet"],
        "holdout": [],
        "packed": {"documents": total, "cut": 0, "padding": 0},
        "warnings": [],
        "versions": {},
        "files": [
            {
                "name": "train-00000-of-00001.parquet",
                **recorded(folder / "train-00000-of-00001.parquet"),
                "format": "parquet",
                "sequences": shares,
                "documents": total,
            }
        ],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def holdout(folder: Path, rows: int = 6, seed: int = 900) -> None:
    files = []
    for number, source in enumerate(("letters", "numbers")):
        name = f"{source}/validation-{LENGTH}-00000-of-00001.parquet"
        (folder / source).mkdir(parents=True)
        pq.write_table(table(sequences(source, rows, seed + number)), folder / name)
        files.append(
            {
                "name": name,
                **recorded(folder / name),
                "format": "parquet",
                "source": source,
                "split": "validation",
                "length": LENGTH,
                "sequences": rows,
                "documents": rows,
            }
        )
    (folder / "manifest.json").write_text(json.dumps({"version": 1, "store": STORE, "files": files}))


def made_output(root: Path) -> Path:
    """Three mixtures: letters alone, numbers alone, and both."""
    mixture(root / "letters", {"letters": 96})
    mixture(root / "numbers", {"numbers": 96}, seed=2)
    mixture(root / "both", {"letters": 48, "numbers": 48}, seed=3)
    holdout(root / "holdout")
    tokenizer(root / "tokens" / "tokenizer.json")
    return root
