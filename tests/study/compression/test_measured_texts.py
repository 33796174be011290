"""The texts that a model is measured on, from JSON lines, token stores and mixtures."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import msgspec
import numpy as np
import pytest

from slimpajama.errors import ConfigError, InputError, InputNotFound, ShardUnreadable
from slimpajama.mixture.manifest import MixtureManifest, MixturePlan, PackedDocuments, StoreUsed
from slimpajama.study.compression.measured_texts import MeasuredData, SourceSequences, SourceTexts, open_data, read_data
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore


def lines(path: Path, *texts: str, field: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps({"id": 1, field: text}) + "\n" for text in texts).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read(
    *paths: Path, field: str = "text", split: str = "validation", texts: int = 3, length: int = 16
) -> list[MeasuredData]:
    opened = open_data([str(path) for path in paths], field=field, texts=texts)
    return read_data(opened, split=split, texts=texts, length=length)


def test_a_file_is_a_source_and_so_is_a_sub_folder(tmp_path: Path) -> None:
    lines(tmp_path / "arxiv" / "a.jsonl", "one", "two")
    lines(tmp_path / "arxiv" / "b.jsonl.gz", "three", "four")
    lines(tmp_path / "books.jsonl.gz", "five")
    (tmp_path / "notes.txt").write_text("not read")
    assert read(tmp_path) == [SourceTexts("arxiv", ("one", "two", "three")), SourceTexts("books", ("five",))]
    one = lines(tmp_path / "other" / "c4.jsonl", "six", "seven")
    assert read(one, texts=1) == [SourceTexts("c4", ("six",))]


def test_a_text_may_lie_deeper(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": {"raw": "deep"}}\n\n')
    assert read(path, field="body.raw") == [SourceTexts("a", ("deep",))]


@pytest.mark.parametrize("name", ["tokens", ""])
def test_a_store_gives_the_held_out_sequences_of_each_source(
    store: TokenStore, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "slimpajama"):
        found = read(store.path.parent / name)
    assert [one.source for one in found] == ["s0", "s1"]
    assert "the validation split of s2 holds 0 tokens, fewer than a sequence of 16: it is not measured" in caplog.text
    for one in found:
        assert isinstance(one, SourceSequences)
        tokens = store.stream(one.source, "validation", Selection("global")).read(0, 48, 0)[0]
        assert np.array_equal(np.concatenate(one.sequences), tokens)
        assert [sequence.size for sequence in one.sequences] == [16] * 3
        assert (one.vocabulary, one.end_of_text) == (store.vocabulary, store.end_of_text)


def mixture(folder: Path, fingerprint: str, length: int) -> Path:
    folder.mkdir()
    manifest = MixtureManifest(
        recipe={},
        plan=MixturePlan(2, 2 * length, ()),
        store=StoreUsed(fingerprint, 600, 0),
        formats=(),
        holdout=(),
        packed=PackedDocuments(0, 0, 0),
        warnings=(),
        files=(),
        versions={},
    )
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return folder


def test_a_mixture_gives_those_of_its_store_no_longer_than_its_own(store: TokenStore, tmp_path: Path) -> None:
    path = mixture(store.path.parent / "dc-6", store.fingerprint, 24)
    for length, used in ((100_000, 24), (16, 16)):
        found = read(path, length=length)
        assert [one.source for one in found] == ["s0", "s1"]
        assert isinstance(found[0], SourceSequences)
        assert [sequence.size for sequence in found[0].sequences] == [used] * 3
    with pytest.raises(InputError, match=r"was made of another token store than lies in .*tokens; run slimpajama mix"):
        read(mixture(store.path.parent / "dc-5", "another", 24))
    with pytest.raises(InputError, match="is a mixture, and the token store it was made of is not in"):
        read(mixture(tmp_path / "alone", store.fingerprint, 24))


def test_what_gives_nothing_is_an_error(store: TokenStore, tmp_path: Path) -> None:
    with pytest.raises(InputNotFound, match="nowhere does not exist; give a token store, a mixture"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputNotFound, match="is no token store, no mixture, and holds no JSON lines"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"no source of .* has 100000 tokens in its test split; give a smaller --max"):
        read(store.path, split="test", length=100_000)
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n{"text": 5, "id": 1}\n')
    with pytest.raises(ConfigError, match=r"a\.jsonl: line 2 has no text at 'text'; give --field, out of: text, id"):
        read(path)
    path.write_text('{"text": "fine"}\n{"text"\n')
    with pytest.raises(ShardUnreadable, match=r"a\.jsonl: line 2 is not JSON"):
        read(path)
    assert read(path, texts=1) == [SourceTexts("a", ("fine",))], "what is not needed is not read"
    path.write_text("\n")
    with pytest.raises(InputError, match="holds no texts"):
        read(path)
    broken = tmp_path / "b.jsonl.gz"
    broken.write_bytes(b"no gzip")
    with pytest.raises(ShardUnreadable, match=r"cannot read .*b\.jsonl\.gz"):
        read(broken)


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    one, other = lines(tmp_path / "x" / "a.jsonl", "one"), lines(tmp_path / "y" / "a.jsonl", "two")
    with pytest.raises(ConfigError, match="two of the given data have a source 'a'"):
        read(one, other)
