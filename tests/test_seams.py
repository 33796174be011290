"""What people add from outside the package, one class each, works in real runs, in one process and in workers."""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from typer.testing import CliRunner

from slimpajama import deduplicate
from slimpajama.cli.main import app
from slimpajama.corpus.codecs import ByteStream, Codec
from slimpajama.corpus.file_formats import endings, suffix_of
from slimpajama.corpus.formats.converted import ConvertedFormat
from slimpajama.corpus.shard_formats import ShardEncoder, ShardFormat, shard_format
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.key_methods import KeyMethod
from slimpajama.dedup.params import MinHashParams
from slimpajama.engine.local import LocalEngine
from slimpajama.errors import ConfigError, ShardUnreadable
from slimpajama.mixture.formats.base import MixtureFormat, SequenceGroup, SequenceShape, SequenceWriter
from slimpajama.registry import CODECS, INPUT_FORMATS, KEY_METHODS, MIXTURE_FORMATS, SHARD_FORMATS, Registry
from slimpajama.stages.markers import Markers
from slimpajama.stages.runner import Stages
from slimpajama.stages.stage import Stage, StageResult, Task
from tests.corpus.shards import put, records_of

DOCUMENTS = [" ".join(f"word{seed * number % 997}" for number in range(1, 60)) for seed in range(1, 30)]


class CsvFormat(ConvertedFormat):
    """An input format: tables in CSV, a record in each row."""

    name = "test-csv"
    endings = (".csv",)

    def json_lines(self, file: BinaryIO) -> Iterator[bytes]:
        for row in csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")):
            if None in row:
                raise ValueError("a row has more values than there are columns")
            yield json.dumps(row).encode()


class Base64Codec(Codec):
    """A codec: base64, decoded at once, with an end mark that tells whether the data breaks off."""

    name = "test-base64"
    endings = (".b64",)

    def decoded(self, raw: Any) -> ByteStream:
        content = raw.read()
        if not content.endswith(b"."):
            raise OSError("no full stop at the end")
        return io.BytesIO(base64.b64decode(content[:-1]))

    def compressed(self, content: bytes) -> bytes:
        return base64.b64encode(content) + b"."


class PlainShards(ShardFormat):
    """A shard format: JSON lines that are not compressed."""

    name = "test-plain"
    ending = ".jsonl"

    def encoder(self, level: int) -> ShardEncoder:
        return PlainEncoder()


class PlainEncoder:
    def compress(self, lines: bytes, /) -> bytes:
        return lines

    def flush(self) -> bytes:
        return b""


class FirstCharacter(KeyMethod):
    """A key method: texts that begin alike are duplicates."""

    name = "test-first"

    def keys(self, texts: Sequence[str], params: MinHashParams) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        keys = np.zeros((len(texts), params.bands), dtype=np.uint64)
        keys[:] = np.array([ord(text[0]) for text in texts], dtype=np.uint64)[:, np.newaxis]
        return np.array([len(text) for text in texts], dtype=np.int64), keys


class NpyFormat(MixtureFormat):
    """A mixture format: the token ids of a file as one array of NumPy."""

    name = "test-npy"
    endings = (".npy",)
    contents = ("Each `.npy` is an array of token ids.",)

    @contextlib.contextmanager
    def writer(self, files: Sequence[BinaryIO], shape: SequenceShape) -> Iterator[SequenceWriter]:
        groups = NpyWriter()
        yield groups
        np.save(files[0], np.concatenate(groups.tokens))

    def differences(self, path: Path, shape: SequenceShape, groups: Iterator[SequenceGroup]) -> Iterator[str]:
        if not np.array_equal(np.load(path), np.concatenate([group.tokens.copy() for group in groups])):
            yield "has other tokens than planned"


class NpyWriter:
    def __init__(self) -> None:
        self.tokens: list[Any] = []

    def write(self, group: SequenceGroup) -> None:
        self.tokens.append(group.tokens.copy())


class Length(StageResult, frozen=True, kw_only=True):
    characters: int


@dataclass(frozen=True)
class LengthStage(Stage[Path, Length]):
    """A stage: how long each of ``files`` is."""

    files: list[Path]

    name: ClassVar[str] = "length"
    title: ClassVar[str] = "measure"
    version: ClassVar[int] = 1
    result_type = Length

    def tasks(self) -> list[Task[Path]]:
        return [Task(file.name, file, {"size": file.stat().st_size}, 1) for file in self.files]

    @staticmethod
    def run(payload: Path) -> Length:
        return Length(characters=len(payload.read_text()))


REGISTRIES: list[tuple[Registry[Any], Any]] = [
    (INPUT_FORMATS, CsvFormat),
    (CODECS, Base64Codec),
    (SHARD_FORMATS, PlainShards),
    (MIXTURE_FORMATS, NpyFormat),
    (KEY_METHODS, FirstCharacter),
]


@pytest.fixture(autouse=True, scope="module")
def _registered() -> Iterator[None]:
    for registry, entry in REGISTRIES:
        registry.register(entry())
    yield
    for registry, entry in REGISTRIES:
        registry.unregister(entry.name)


def as_csv(texts: list[str]) -> bytes:
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["text", "url"])
    writer.writerows([text, f"https://example.org/{number}"] for number, text in enumerate(texts))
    return table.getvalue().encode()


def lines_of(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def kept(folder: Path) -> list[str]:
    return [record["text"] for path in sorted(folder.rglob("*.jsonl.zst")) for record in records_of(path)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_input_format_and_a_codec_from_outside_are_read(tmp_path: Path, workers: int) -> None:
    once = DOCUMENTS[:20]
    shards = {
        "c4/a.csv": as_csv(once),
        "c4/b.csv.gz": gzip.compress(as_csv([*DOCUMENTS[15:22], "short"])),
        "c4/c.jsonl.b64": Base64Codec().compressed(lines_of(DOCUMENTS[18:25])),
        "c4/d.csv.b64": Base64Codec().compressed(as_csv(DOCUMENTS[20:])),
    }
    put(tmp_path / "in", {})
    for name, content in shards.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    deduplicate(tmp_path / "in", tmp_path / "out", workers=workers, scope="global", duplicate_counts=False)
    assert kept(tmp_path / "out" / "global") == DOCUMENTS
    (first, *_) = records_of(tmp_path / "out" / "global" / "c4" / "a.jsonl.zst")
    assert first["meta"] == {"url": "https://example.org/0", "redpajama_set_name": "RedPajamaC4"}


def test_a_large_shard_of_a_converted_format_has_parts(tmp_path: Path) -> None:
    texts = [f"{number} " + " ".join(f"{number}x{word}" for word in range(400)) for number in range(100)]
    path = tmp_path / "in" / "c4" / "a.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(as_csv(texts))
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1, scope="global", part_bytes=1 << 16)
    assert kept(tmp_path / "out" / "global") == texts


def test_a_file_that_is_not_of_the_format_stops_the_run_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "in" / "c4" / "a.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"text\na,b\n")
    with pytest.raises(ShardUnreadable, match=r"a\.csv cannot be read as test-csv: a row has more values"):
        deduplicate(tmp_path / "in", tmp_path / "out", workers=1)


class OtherCsvFormat(CsvFormat):
    """Of the same name."""


class TsvFormat(CsvFormat):
    """Claims the same ending."""

    name = "test-tsv"


def test_a_name_can_be_taken_once() -> None:
    INPUT_FORMATS.register(CsvFormat())
    with pytest.raises(ConfigError, match="another input format is called 'test-csv' already"):
        INPUT_FORMATS.register(OtherCsvFormat())
    assert suffix_of("a.csv.b64") == ".csv.b64"
    assert endings()[".csv"].format is INPUT_FORMATS.get("test-csv")


def test_an_ending_belongs_to_one_format() -> None:
    INPUT_FORMATS.register(TsvFormat())
    try:
        with pytest.raises(ConfigError, match=r"files ending in \.csv would be read as 'test-csv' and as"):
            suffix_of("a.jsonl")
    finally:
        INPUT_FORMATS.unregister("test-tsv")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_shard_format_and_a_mixture_format_from_outside_are_written_and_verified(
    tmp_path: Path, workers: int
) -> None:
    words = np.random.default_rng(1).integers(0, 400, (80, 300))
    texts = [" ".join(f"w{word}" for word in row) for row in words.tolist()]
    put(tmp_path / "in", {"c4/a.jsonl": texts})
    out = tmp_path / "out"
    deduplicate(tmp_path / "in", out, workers=workers, scope="global", shard_format="test-plain")
    shard = (out / "global" / "c4" / "a.jsonl").read_bytes()
    assert [json.loads(line)["text"] for line in shard.splitlines()] == texts
    assert "path: '**/*.jsonl'" in (out / "global" / "README.md").read_text()
    assert call("verify", "--workers", workers, out) == 0
    recipe = {"name": "mine", "weights": {"c4": 100}, "tokens": 2048, "sequence_length": 64, "scope": "global"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    mixing = ("--workers", workers, "--format", "test-npy", "--recipe", tmp_path / "mine.yaml", "--holdout", 0.1)
    assert call("mix", *mixing, "--input", out, "--output", tmp_path / "mixed") == 0
    (train,) = (tmp_path / "mixed" / "mine").glob("train-*.npy")
    assert np.load(train).shape == (32, 64)
    assert call("verify", "--workers", workers, tmp_path / "mixed") == 0


def call(*words: object) -> int:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.exit_code


class UnreadableShards(PlainShards):
    """Nothing reads what it writes."""

    name = "test-unreadable"
    ending = ".unreadable"


def test_a_shard_format_that_is_unknown_or_that_nothing_reads_is_refused_before_work(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": DOCUMENTS})
    with pytest.raises(ConfigError, match="there is no shard format 'tar'; the shard formats are jsonl"):
        deduplicate(tmp_path / "in", tmp_path / "out", workers=1, shard_format="tar")
    SHARD_FORMATS.register(UnreadableShards())
    try:
        with pytest.raises(ConfigError, match=r"no input format reads files ending in \.unreadable"):
            shard_format("test-unreadable")
    finally:
        SHARD_FORMATS.unregister("test-unreadable")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stage_from_outside_runs_and_is_not_run_again(tmp_path: Path, workers: int) -> None:
    files = [tmp_path / name for name in ("a", "b")]
    for file in files:
        file.write_text("x" * ord(file.name))
    for _ in range(2):
        with LocalEngine(workers) as engine:
            stages = Stages(engine)
            found = stages.run(LengthStage(files), Markers(tmp_path / "done", tmp_path, Length))
        assert [one.characters for one in found] == [97, 98]


def test_a_key_method_from_outside_decides_what_is_a_duplicate(tmp_path: Path) -> None:
    texts = [f"{first} is the first word of {number} documents " * 9 for first in "ab" for number in range(3)]
    put(tmp_path / "in", {"c4/a.jsonl": texts})
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        deduplicate(tmp_path / "in", out, workers=workers, scope="global", method="test-first")
        assert kept(out / "global") == [texts[0], texts[3]]
    with pytest.raises(ConfigError, match=r"method is 'minhash', but .* was made with 'test-first': keys can only be"):
        deduplicate(tmp_path / "in", tmp_path / "later", workers=1, against=str(tmp_path / "out1"))
    with pytest.raises(ConfigError, match="there is no key method 'simhash'; the key methods are minhash"):
        deduplicate(tmp_path / "in", tmp_path / "other", workers=1, method="simhash")


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        (np.zeros((2, 9), dtype=np.float64), "float64[2, 9]"),
        (np.zeros((2, 8), dtype=np.uint64), "uint64[2, 8]"),
        (np.zeros(9, dtype=np.uint64), "uint64[9]"),
        ([[0] * 9] * 2, "list"),
    ],
)
def test_keys_of_another_type_or_shape_are_refused(keys: Any, what: str) -> None:
    class Wrong(KeyMethod):
        name = "wrong"

        def keys(self, texts: Sequence[str], params: MinHashParams) -> tuple[Any, Any]:
            return np.full(len(texts), 300), keys

    with pytest.raises(ConfigError) as caught:
        Wrong().sketcher(MinHashParams()).sketch(Texts.of(["a", "b"]))
    assert str(caught.value) == f"the key method 'wrong' gave keys as {what}; they must be uint64[2, 9]"


def test_a_method_of_another_version_makes_its_keys_anew() -> None:
    assert MinHashParams(method_version=2).first_difference(MinHashParams()) == "method_version"


def test_a_class_is_no_entry_of_a_registry() -> None:
    with pytest.raises(ConfigError, match="KeyMethod is a class; register an instance of it as a key method"):
        KEY_METHODS.register(KeyMethod)  # type: ignore[arg-type]
