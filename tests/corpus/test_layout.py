"""Whose the shards are: what folders and records say, and what happens where they disagree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest

from slimpajama import ConfigError, SourceConfig
from slimpajama.config.dedup import REDPAJAMA_SET_NAMES, LayoutName
from slimpajama.corpus.discovery import Corpus, discover
from slimpajama.corpus.labels import FileLabels, read_labels, spread
from slimpajama.corpus.pieces import ShardFile
from slimpajama.corpus.shard_listing import list_shards
from slimpajama.storage.paths import path_of
from tests.corpus.shards import jsonl, put

PUBLISHED = list(REDPAJAMA_SET_NAMES)
C4, WIKI, CODE = "RedPajamaC4", "RedPajamaWikipedia", "RedPajamaGithub"


def named(*labels: Any) -> list[dict[str, Any]]:
    """A record for each label; ``None``: a record without one."""
    return [{"text": "t", "meta": {} if label is None else {"redpajama_set_name": label}} for label in labels]


def found(root: Path, tree: dict[str, Any], layout: LayoutName = "auto", sources: Iterable[Any] = ()) -> Corpus:
    return discover(put(root, tree), tuple(sources), layout=layout)


def by_source(corpus: Corpus) -> dict[str, list[str]]:
    """The files of each source; without one source more than those that have files."""
    files: dict[str, list[str]] = {source.name: [] for source in corpus.sources}
    for shard in corpus.shards:
        files[corpus.sources[shard.source].name].append(corpus.files[shard.file].relative)
    return files


def message(root: Path, tree: dict[str, Any], layout: LayoutName = "auto", sources: Iterable[Any] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        found(root, tree, layout, sources)
    return str(caught.value)


MIXED = [
    {"train/chunk1/a.jsonl.zst": named(C4, WIKI), "train/chunk2/b.jsonl.zst": named(CODE, C4)},
    {"chunk1/a.jsonl.zst": named(C4, WIKI), "chunk2/b.jsonl.zst": named(CODE, C4)},
    {"train/chunk1/a.jsonl": named(C4, WIKI), "sample/b.jsonl": named(CODE, WIKI)},
    {"a.jsonl": named(C4, WIKI), "b.parquet": named(CODE)},
    {"chunk1/a.jsonl": named(C4), "chunk2/b.jsonl": named(C4)},
    {"chunk1/a.jsonl": named(C4), "chunk2/b.jsonl": named(WIKI)},
    {"a.jsonl": named(C4)},
    {"a.parquet": named(C4, WIKI)},
    {"train/a.jsonl": named(C4, WIKI), "b.jsonl.gz": named(CODE)},
]


@pytest.mark.parametrize("tree", MIXED, ids=[" ".join(tree) for tree in MIXED])
def test_where_records_name_published_sources_folders_mean_nothing(tmp_path: Path, tree: dict[str, Any]) -> None:
    corpus = found(tmp_path, tree)
    assert by_source(corpus) == {name: sorted(tree) for name in PUBLISHED}
    assert corpus.in_records
    assert [piece.file.relative for piece in corpus.pieces] == sorted(tree), "and yet each is read once"
    for piece in corpus.pieces:
        assert piece.mixed
        assert piece.set_names == tuple(REDPAJAMA_SET_NAMES.values())
        assert [shard.source for shard in piece.shards] == list(range(7))
        assert piece.keeps_labels


BY_FOLDER: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"c4/a.jsonl": ["t"], "web/b.jsonl": ["t"]}, {"c4": C4, "web": "web"}),
    ({"c4/a.jsonl": named(C4), "web/b.jsonl": ["t"]}, {"c4": C4, "web": "web"}),
    ({"c4/a.jsonl": named(C4), "web/b.jsonl": named("MyWeb")}, {"c4": C4, "web": "MyWeb"}),
    ({"wikipedia/a.jsonl": named(WIKI), "c4/a.parquet": named(C4)}, {"c4": C4, "wikipedia": WIKI}),
    ({"book/a.jsonl": named("RedPajamaBook")}, {"books": "RedPajamaBook"}),
    ({"web/a.jsonl": named("X"), "news/a.jsonl": named("Y")}, {"news": "Y", "web": "X"}),
    ({"c4/a.jsonl": b"broken", "web/a.jsonl.zst": b""}, {"c4": C4, "web": "web"}),
    ({"c4/a.jsonl": named(C4, None), "web/a.jsonl": named(None)}, {"c4": C4, "web": "web"}),
    ({"train/a.jsonl": ["t"]}, {"train": "train"}),
    ({"c4/a.jsonl": named(["no", "name"], 7, {})}, {"c4": C4}),
]


@pytest.mark.parametrize(("tree", "expected"), BY_FOLDER)
def test_where_records_agree_with_folders_or_say_nothing_folders_are_sources(
    tmp_path: Path, tree: dict[str, Any], expected: dict[str, str]
) -> None:
    corpus = found(tmp_path, tree)
    assert {source.name: source.set_name for source in corpus.sources} == expected
    assert not corpus.in_records
    assert all(piece.keeps_labels and not piece.mixed for piece in corpus.pieces)


@pytest.mark.parametrize(
    ("root", "tree", "expected"),
    [
        ("mydata", {"a.jsonl": ["t"], "b.jsonl.gz": ["t"]}, ("mydata", "mydata")),
        ("my data (2)", {"a.jsonl": ["t"]}, ("my_data__2_", "my_data__2_")),
        ("été", {"a.jsonl": ["t"]}, ("t_", "t_")),
        ("__", {"a.jsonl": ["t"]}, ("input", "input")),
        ("v1.2", {"a.jsonl": ["t"]}, ("v1.2", "v1.2")),
        ("c4", {"a.jsonl": ["t"]}, ("c4", C4)),
        ("book", {"a.jsonl": ["t"]}, ("books", "RedPajamaBook")),
        ("mydata", {"a.jsonl": named("MyWeb", "MyWeb")}, ("MyWeb", "MyWeb")),
        ("mydata", {"a.jsonl": named("My web")}, ("mydata", "My web")),
    ],
)
def test_a_flat_folder_is_one_source(
    tmp_path: Path, root: str, tree: dict[str, Any], expected: tuple[str, str]
) -> None:
    corpus = found(tmp_path / root, tree)
    (source,) = corpus.sources
    assert (source.name, source.set_name) == expected
    assert [file.relative for file in corpus.files] == sorted(tree)
    assert corpus.ignored == ()


@pytest.mark.parametrize("where", ["", "file://", "memory://bucket"])
def test_a_single_shard_is_one_source_named_after_the_file(tmp_path: Path, where: str) -> None:
    put(tmp_path, {"my web.jsonl.gz": ["t"], "other.jsonl": ["t"]})
    if where.startswith("memory"):
        root = path_of(f"{where}{tmp_path}/my web.jsonl.gz")
        root.fs.pipe_file(root.path, (tmp_path / "my web.jsonl.gz").read_bytes())  # type: ignore[attr-defined]
    else:
        root = path_of(f"{where}{tmp_path}/my web.jsonl.gz")
    corpus = discover(root)
    assert by_source(corpus) == {"my_web": ["my web.jsonl.gz"]}
    assert corpus.pieces[0].name == "my web"


def test_a_single_shard_of_several_sources_is_split_by_its_records(tmp_path: Path) -> None:
    put(tmp_path, {"a.jsonl": named(C4, WIKI)})
    assert by_source(discover(tmp_path / "a.jsonl")) == {name: ["a.jsonl"] for name in PUBLISHED}


def test_labels_of_ones_own_are_sources_beside_the_published_ones(tmp_path: Path) -> None:
    corpus = found(tmp_path / "a", {"x/a.jsonl": named("web", C4), "y/b.jsonl": named("code")})
    assert [source.name for source in corpus.sources] == [*PUBLISHED, "code", "web"]
    corpus = found(tmp_path / "b", {"x/a.jsonl": named("web", "code"), "y/b.jsonl": named("web")})
    assert [source.name for source in corpus.sources] == ["code", "web"]
    corpus = found(tmp_path / "c", {"x/a.jsonl": named(C4, "../up", "c4")})
    assert [source.name for source in corpus.sources] == PUBLISHED, "records that name no possible source are bad"
    assert message(tmp_path / "d", {"x/a.jsonl": named("my web", "code")}) == (
        "records name the source 'my web', which cannot be the name of a folder; list the sources in a config, each "
        "with a name and its set_name, with layout: records"
    )


def test_folders_and_records_that_disagree_are_refused(tmp_path: Path) -> None:
    assert message(tmp_path / "a", {"c4/a.jsonl": named(C4, CODE), "web/b.jsonl": ["t"]}) == (
        f"folders and records disagree: the folder 'c4' stands for {C4}, but records of c4/a.jsonl have "
        f"meta.redpajama_set_name {CODE!r}; set layout=records to go by the records, or layout=folders to go by the "
        "folders and replace what the records say"
    )
    assert message(tmp_path / "b", {"train/a.jsonl": named(C4, CODE), "web/b.jsonl": ["t"]}) == (
        "folders and records disagree: records of train/a.jsonl name their source in meta.redpajama_set_name, but "
        "those of web/b.jsonl do not; set layout=folders to go by the folders and replace what the records say, or "
        "leave one of the two out"
    )


def test_a_setting_decides_what_names_the_source(tmp_path: Path) -> None:
    tree = {"c4/a.jsonl": named(C4, CODE), "web/b.jsonl": named(WIKI)}
    folders = found(tmp_path, tree, "folders")
    assert by_source(folders) == {"c4": ["c4/a.jsonl"], "web": ["web/b.jsonl"]}
    assert not any(piece.keeps_labels for piece in folders.pieces)
    records = found(tmp_path, tree, "records")
    assert by_source(records) == {name: sorted(tree) for name in PUBLISHED}
    assert message(tmp_path / "bare", {"c4/a.jsonl": ["t"]}, "records") == (
        "layout is 'records', but the first records of c4/a.jsonl have no meta.redpajama_set_name; set layout=folders, "
        "or list the sources in a config"
    )


def test_sources_of_a_config_keep_labels_unless_they_have_a_name_for_them(tmp_path: Path) -> None:
    tree = {"x/a.jsonl": named(C4), "y/b.jsonl": named(WIKI)}
    chosen = [SourceConfig(name="x"), SourceConfig.model_validate({"name": "y", "set_name": "Mine"})]
    assert [piece.keeps_labels for piece in found(tmp_path, tree, "auto", chosen).pieces] == [True, False]
    assert [piece.keeps_labels for piece in found(tmp_path, tree, "folders", chosen).pieces] == [False, False]


def test_sources_of_a_config_may_be_named_by_records(tmp_path: Path) -> None:
    tree = {"x/a.jsonl": named("My web", "c"), "y/b.jsonl": named("My web")}
    web = SourceConfig.model_validate({"name": "web", "set_name": "My web"})
    corpus = found(tmp_path, tree, "records", [SourceConfig(name="c"), web])
    assert by_source(corpus) == {"c": sorted(tree), "web": sorted(tree)}
    assert corpus.pieces[0].set_names == ("c", "My web")
    assert message(tmp_path, tree, "records", [SourceConfig(name="c")]) == (
        "records name the source 'My web', which is none of the configured: add {name: …, set_name: My web} to sources"
    )
    with_paths = SourceConfig(name="c", paths=("x/**",))
    assert message(tmp_path, tree, "records", [with_paths, web]).startswith("source 'c' has paths, but layout is")


# ------------------------------------------------------------------------------------------------ what is held out


def stems(corpus: Corpus) -> list[str]:
    """Of all shards, below their sources, in the order of precedence."""
    return [f"{corpus.sources[shard.source].name}/{shard.stem}" for shard in corpus.shards]


SPLIT = {"train/chunk1/a.jsonl": ["t"], "validation/chunk1/a.jsonl": ["t"], "test/chunk1/a.jsonl": ["t"]}


@pytest.mark.parametrize("layout", ["auto", "records"])
def test_a_split_at_the_top_is_read_and_each_record_names_its_source(tmp_path: Path, layout: LayoutName) -> None:
    tree = {path: named(C4, WIKI) for path in SPLIT}
    corpus = found(tmp_path / "in", {**tree, "validation/b.jsonl": named(C4)}, layout)
    assert corpus.in_records
    assert by_source(corpus)["c4"] == [
        "test/chunk1/a.jsonl", "validation/b.jsonl", "validation/chunk1/a.jsonl", "train/chunk1/a.jsonl",
    ]  # fmt: skip
    assert (corpus.held_out, corpus.ignored) == ({"validation": 2, "test": 1}, ())


ONE_NAME = [["t"], named("X"), named(C4)]


@pytest.mark.parametrize("records", ONE_NAME, ids=["nameless", "own name", "published name"])
def test_the_folders_of_a_split_are_no_sources(tmp_path: Path, records: list[Any]) -> None:
    corpus = found(tmp_path, dict.fromkeys(SPLIT, records))
    if records is ONE_NAME[-1]:
        assert by_source(corpus)["c4"] == ["test/chunk1/a.jsonl", "validation/chunk1/a.jsonl", "train/chunk1/a.jsonl"]
    else:
        assert [source.name for source in corpus.sources] == ["train"]
        assert stems(corpus) == ["train/test/chunk1/a", "train/validation/chunk1/a", "train/train/chunk1/a"]
    assert corpus.held_out == {"validation": 1, "test": 1}


def test_a_split_whose_parts_name_other_sources_is_told_by_its_records(tmp_path: Path) -> None:
    corpus = found(tmp_path, {"train/a.jsonl": named("X"), "test/a.jsonl": named("Y")})
    assert by_source(corpus) == {name: ["test/a.jsonl", "train/a.jsonl"] for name in "XY"}


def test_a_split_at_the_top_may_stand_beside_other_sources(tmp_path: Path) -> None:
    corpus = found(tmp_path, {**SPLIT, "web/b.jsonl": ["t"], "web/test/c.jsonl": ["t"]})
    assert by_source(corpus) == {
        "train": ["test/chunk1/a.jsonl", "validation/chunk1/a.jsonl", "train/chunk1/a.jsonl"],
        "web": ["web/b.jsonl", "web/test/c.jsonl"],
    }
    assert (corpus.held_out, corpus.ignored) == ({"validation": 1, "test": 1}, ())


def test_the_folders_of_a_split_are_sources_where_they_are_asked_for(tmp_path: Path) -> None:
    tree = {f"{folder}/a.jsonl": ["t"] for folder in ("train", "test")}
    chosen = [SourceConfig(name="train"), SourceConfig(name="test")]
    corpus = found(tmp_path, tree, "auto", chosen)
    assert (stems(corpus), corpus.held_out) == (["train/a", "test/a"], {"test": 1})
    corpus = found(tmp_path / "alone", {"test/a.jsonl": ["t"], "web/a.jsonl": ["t"]})
    assert (by_source(corpus), corpus.held_out) == ({"test": ["test/a.jsonl"], "web": ["web/a.jsonl"]}, {})


def test_a_split_below_a_source_is_counted_and_comes_first(tmp_path: Path) -> None:
    corpus = found(tmp_path, {"c4/train/a.jsonl": ["t"], "c4/validation/a.jsonl": ["t"], "web/b.jsonl": ["t"]})
    assert stems(corpus) == ["c4/validation/a", "c4/train/a", "web/b"]
    assert corpus.held_out == {"validation": 1}


# --------------------------------------------------------------------------------------------- the first records


def labels(root: Path, tree: dict[str, Any]) -> list[FileLabels]:
    return read_labels(list_shards(put(root, tree)).shards)


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet", "a.JSON", "a.json", "a.ndjson", "a.jsonl.xz"]
)
def test_the_first_records_of_any_shard_are_read(tmp_path: Path, name: str) -> None:
    records = named(C4, WIKI, None, C4)
    content: Any = {"a.JSON": jsonl(records), "a.json": orjson.dumps(records, option=orjson.OPT_INDENT_2)}
    (one,) = labels(tmp_path, {name: content.get(name, records)})
    assert (one.labels, one.unlabelled) == (frozenset({C4, WIKI}), 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", b""),
        ("a.jsonl", b"\x00" * 100),
        ("a.jsonl.gz", b"not gzip"),
        ("a.jsonl.zst", b"not zstd"),
        ("a.parquet", b"not parquet"),
        ("a.parquet", b""),
        ("a.jsonl", b"[1]\n7\nnull\n"),
    ],
)
def test_what_cannot_be_read_says_nothing(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert labels(tmp_path, {}) == [FileLabels(name, frozenset(), 0)]


def test_a_stream_that_breaks_off_says_what_came_before(tmp_path: Path) -> None:
    put(tmp_path, {"a.jsonl.gz": named(*[C4] * 20_000)})
    whole = (tmp_path / "a.jsonl.gz").read_bytes()
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) - 100])
    assert labels(tmp_path, {})[0].labels == frozenset({C4})


def test_only_the_beginning_is_read_and_a_long_first_record_is_waited_for(tmp_path: Path) -> None:
    long = {"text": "t" * 500_000, "meta": {"redpajama_set_name": CODE}}
    too_long = {"text": "t" * 2_000_000, "meta": {"redpajama_set_name": CODE}}
    tree = {"a.jsonl": [long], "b.jsonl": [too_long], "c.jsonl": named(*[C4] * 5000, WIKI)}
    assert [(one.labels, one.unlabelled) for one in labels(tmp_path, tree)] == [
        (frozenset({CODE}), 0),
        (frozenset(), 0),
        (frozenset({C4}), 0),
    ]


def test_the_shards_looked_at_are_spread_over_the_folders() -> None:
    def file(relative: str) -> ShardFile:
        return ShardFile(relative, relative, ".jsonl", 0, 0)

    files = [file(f"{folder}/{number:03}.jsonl") for folder in "ab" for number in range(100)] + [file("c/0.jsonl")]
    assert [one.relative for one in spread(files, most=6)] == [
        "a/000.jsonl", "a/050.jsonl", "b/000.jsonl", "b/050.jsonl", "c/0.jsonl",
    ]  # fmt: skip
    many = [file(f"{number:05}/a.jsonl") for number in range(10_000)]
    assert len(spread(many)) == 256
