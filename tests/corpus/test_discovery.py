"""Which files are read, in what order, as whose, and what their documents are called."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama import ConfigError, InputNotFound, ShardUnreadable, SourceConfig
from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.corpus.discovery import POSITION_BITS, Corpus, discover
from slimpajama.corpus.file_formats import endings_in_words
from tests.corpus.shards import put

DEFAULT_ORDER = ["wikipedia", "books", "arxiv", "stackexchange", "github", "c4", "common_crawl"]


def touch(root: Path, *names: str) -> Path:
    return put(root, dict.fromkeys(names, b""))


def names(corpus: Corpus) -> list[str]:
    return [source.name for source in corpus.sources]


def placed(corpus: Corpus) -> list[tuple[str, str, str]]:
    """Source, file and output stem of each shard, by index."""
    assert [shard.index for shard in corpus.shards] == list(range(len(corpus.shards)))
    return [
        (corpus.sources[shard.source].name, corpus.files[shard.file].relative, shard.stem) for shard in corpus.shards
    ]


def sources(**paths: list[str]) -> tuple[SourceConfig, ...]:
    return tuple(SourceConfig(name=name, paths=tuple(patterns)) for name, patterns in paths.items())


# ---------------------------------------------------------------------------------------------------- layouts


def test_redpajamas_folders_come_in_the_published_order_whatever_their_names_sort_to(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/a.jsonl" for name in sorted(DEFAULT_ORDER)))
    corpus = discover(tmp_path)
    assert names(corpus) == DEFAULT_ORDER
    assert [source.set_name for source in corpus.sources] == list(REDPAJAMA_SET_NAMES.values())
    assert placed(corpus) == [(name, f"{name}/a.jsonl", "a") for name in DEFAULT_ORDER]


def test_only_folders_that_exist_are_sources_and_others_follow_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "zeta/a.jsonl", "wikipedia/a.jsonl", "alpha/a.jsonl", "c4/a.jsonl")
    corpus = discover(tmp_path)
    assert names(corpus) == ["wikipedia", "c4", "alpha", "zeta"]
    assert [source.set_name for source in corpus.sources] == ["RedPajamaWikipedia", "RedPajamaC4", "alpha", "zeta"]


@pytest.mark.parametrize("folder", ["book", "books"])
def test_the_books_may_lie_in_book_or_in_books(tmp_path: Path, folder: str) -> None:
    touch(tmp_path, f"{folder}/a.jsonl", "arxiv/a.jsonl")
    assert placed(discover(tmp_path)) == [("books", f"{folder}/a.jsonl", "a"), ("arxiv", "arxiv/a.jsonl", "a")]


def test_shards_of_a_source_are_ordered_by_path_and_keep_their_folders_below_the_source(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "common_crawl/2023-06/en_head_0000.json.gz.dedup.jsonl.zst",
        "common_crawl/2019-30/en_middle_0001.jsonl.gz",
        "common_crawl/2019-30/b.parquet",
        "common_crawl/2019-30/a.jsonl",
    )
    assert placed(discover(tmp_path)) == [
        ("common_crawl", "common_crawl/2019-30/a.jsonl", "2019-30/a"),
        ("common_crawl", "common_crawl/2019-30/b.parquet", "2019-30/b"),
        ("common_crawl", "common_crawl/2019-30/en_middle_0001.jsonl.gz", "2019-30/en_middle_0001"),
        (
            "common_crawl",
            "common_crawl/2023-06/en_head_0000.json.gz.dedup.jsonl.zst",
            "2023-06/en_head_0000.json.gz.dedup",
        ),
    ]


def test_sources_of_a_config_are_taken_in_its_order_with_its_globs(tmp_path: Path) -> None:
    touch(tmp_path, "web/a.jsonl", "web/new/b.jsonl", "web/c.parquet", "notes/x/d.jsonl", "notes/y/e.jsonl")
    corpus = discover(tmp_path, sources(notes=["notes/*/?.jsonl"], web=["web/*.jsonl"]))
    assert placed(corpus) == [
        ("notes", "notes/x/d.jsonl", "x/d"),
        ("notes", "notes/y/e.jsonl", "y/e"),
        ("web", "web/a.jsonl", "a"),
        ("web", "web/new/b.jsonl", "new/b"),
    ]
    assert corpus.ignored == ("web/c.parquet",)


def test_shards_from_several_folders_are_ordered_by_their_whole_path(tmp_path: Path) -> None:
    touch(tmp_path, "web/a.jsonl", "news/b.jsonl")
    corpus = discover(tmp_path, sources(all=["web/*", "news/*"]))
    assert placed(corpus) == [("all", "news/b.jsonl", "b"), ("all", "web/a.jsonl", "a")]


def test_a_source_that_is_only_named_is_the_folder_of_that_name(tmp_path: Path) -> None:
    touch(tmp_path, "web/a/b.jsonl", "web2/c.jsonl")
    corpus = discover(tmp_path, (SourceConfig(name="web"),))
    assert placed(corpus) == [("web", "web/a/b.jsonl", "a/b")]
    assert corpus.ignored == ("web2/c.jsonl",)


def test_a_folder_of_one_source_is_not_mixed(tmp_path: Path) -> None:
    (piece,) = discover(touch(tmp_path, "c4/a.jsonl")).pieces
    assert not piece.mixed
    assert piece.set_names == ("RedPajamaC4",)

    # -------------------------------------------------------------------------------------------- what is not read


def test_files_that_are_no_shards_or_of_no_source_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "c4/a.jsonl", "c4/README.md", "c4/b.tar.gz", "top.jsonl", "urls.txt", "c4/x.csv.bz2")
    assert discover(tmp_path).ignored == ("c4/README.md", "c4/b.tar.gz", "c4/x.csv.bz2", "top.jsonl", "urls.txt")


def test_hidden_and_unfinished_files_are_passed_over_in_silence(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "c4/a.jsonl",
        "c4/.b.jsonl",
        "c4/_c.jsonl",
        "c4/d.jsonl.tmp",
        "c4/.jsonl",
        ".cache/e.jsonl",
        "c4/_temporary/f.jsonl",
    )
    corpus = discover(tmp_path)
    assert placed(corpus) == [("c4", "c4/a.jsonl", "a")]
    assert corpus.ignored == ()


def test_linked_folders_and_files_are_read_where_they_appear(tmp_path: Path) -> None:
    elsewhere = touch(tmp_path / "elsewhere", "deep/a.jsonl", "b.jsonl")
    root = tmp_path / "root"
    (root / "arxiv").mkdir(parents=True)
    (root / "c4").symlink_to(elsewhere)
    (root / "arxiv" / "link.jsonl").symlink_to(elsewhere / "b.jsonl")
    assert placed(discover(root)) == [
        ("arxiv", "arxiv/link.jsonl", "link"),
        ("c4", "c4/b.jsonl", "b"),
        ("c4", "c4/deep/a.jsonl", "deep/a"),
    ]


def test_a_loop_of_links_is_walked_once_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "c4/a.jsonl")
    (tmp_path / "c4" / "loop").symlink_to(tmp_path)
    (tmp_path / "c4" / "self").symlink_to(tmp_path / "c4")
    corpus = discover(tmp_path)
    assert placed(corpus) == [("c4", "c4/a.jsonl", "a")]
    assert corpus.ignored == ("c4/loop", "c4/self")


def test_two_names_of_one_folder_are_read_once_and_the_second_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "book/a.jsonl")
    (tmp_path / "books").symlink_to(tmp_path / "book")
    corpus = discover(tmp_path)
    assert placed(corpus) == [("books", "book/a.jsonl", "a")]
    assert corpus.ignored == ("books",)


# ------------------------------------------------------------------------------------------------- refusals


def message(error: type[Exception], *arguments: Any) -> str:
    with pytest.raises(error) as caught:
        discover(*arguments)
    return str(caught.value)


def test_an_input_that_is_not_there_or_no_shard_is_refused(tmp_path: Path) -> None:
    assert message(InputNotFound, tmp_path / "absent") == (
        f"cannot read the input {tmp_path}/absent: No such file or directory; give a shard, or a folder that holds "
        "shards"
    )
    touch(tmp_path, "a.txt")
    assert message(InputNotFound, tmp_path / "a.txt") == (
        f"the input {tmp_path}/a.txt is no shard: shards end in {endings_in_words()}"
    )


def test_an_input_without_shards_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "c4/README.md", "c4/.a.jsonl")
    assert message(InputNotFound, tmp_path) == (
        f"no shard below {tmp_path}: looked for files ending in {endings_in_words()}"
    )


def test_a_configured_source_without_shards_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "web/a.jsonl")
    chosen = sources(web=["web/**"], wiki=["wiki/*.jsonl", "../wiki/*.jsonl"])
    assert message(InputNotFound, tmp_path, chosen) == (
        f"source 'wiki' has no shard: nothing below {tmp_path} matches wiki/*.jsonl, ../wiki/*.jsonl; "
        "correct its paths or leave the source out"
    )


def test_a_file_of_two_sources_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "web/a.jsonl", "web/b.jsonl")
    assert message(ConfigError, tmp_path, sources(all=["web/**"], best=["web/b*"])) == (
        "web/b.jsonl belongs to source 'all' and to source 'best'; narrow the paths of one"
    )


@pytest.mark.parametrize(
    ("files", "paths"),
    [
        (["c4/a.jsonl", "c4/a.jsonl.zst"], None),
        (["c4/a.jsonl.gz", "c4/a.parquet"], None),
        (["a.jsonl", "a.parquet"], None),
        (["book/a.jsonl", "books/a.jsonl"], None),
        (["one/a.jsonl", "two/a.jsonl"], {"both": ["one/*", "two/*"]}),
        (["web/a.jsonl", "web/a.jsonl.gz"], {"plain": ["web/*.jsonl"], "packed": ["web/*.gz"]}),
    ],
)
def test_two_files_that_would_be_written_to_one_place_are_refused(
    tmp_path: Path, files: list[str], paths: dict[str, list[str]] | None
) -> None:
    touch(tmp_path, *files)
    assert message(ConfigError, tmp_path, sources(**paths or {})) == (
        f"{files[0]} and {files[1]} would be written to one output; rename one, or remove it if it is a copy of the "
        "other"
    )


def test_a_file_named_like_a_part_of_another_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {"c4/a.jsonl": b"x" * 150, "c4/a-00001-of-00002.jsonl": b""})
    assert len(discover(tmp_path).pieces) == 2
    assert message(ConfigError, tmp_path, (), 100) == (
        "c4/a-00001-of-00002.jsonl and c4/a.jsonl would be written to one output; rename one, or remove it if it is a "
        "copy of the other"
    )


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "c4/a.jsonl")
    dangling = tmp_path / "c4" / "b.jsonl"
    dangling.symlink_to(tmp_path / "gone")
    assert message(InputNotFound, tmp_path) == (f"cannot read {dangling}: No such file or directory; mend or remove it")


def test_a_folder_that_may_not_be_read_is_refused_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "arxiv/a.jsonl", "c4/a.jsonl")
    locked, scandir = str(tmp_path / "c4"), os.scandir

    def guarded(path: str) -> Any:
        if path == locked:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert message(InputNotFound, tmp_path) == f"cannot read {locked}: Permission denied; mend or remove it"


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(path.parent, os.O_RDONLY)  # the path of a socket must be short
        try:
            server.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (make_fifo, "a named pipe"),
        (make_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/null"), "a device"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
@pytest.mark.parametrize("name", ["b.jsonl", "b.jsonl.zst", "b.parquet"])
def test_what_is_no_file_is_refused_by_name_and_never_opened(
    tmp_path: Path, make: Callable[[Path], None], kind: str, name: str
) -> None:
    touch(tmp_path, "c4/a.jsonl")
    make(tmp_path / "c4" / name)
    assert message(ShardUnreadable, tmp_path) == (
        f"{tmp_path}/c4/{name} is {kind}, not a file: it can be read only once or not at all; write its content to a "
        "file, or remove or rename it"
    )


@pytest.mark.parametrize("folder", ["my data", "-a", "déjà", "a+b"])
def test_a_folder_that_cannot_name_a_source_is_refused_unless_a_config_names_it(tmp_path: Path, folder: str) -> None:
    touch(tmp_path, f"{folder}/a.jsonl")
    assert message(ConfigError, tmp_path) == (
        f"the folder {folder!r} cannot name a source: names are made of A-Z, a-z, 0-9, '.', '_' and '-' and begin "
        "with a letter or a digit; rename the folder, or list the sources in a config"
    )
    assert placed(discover(tmp_path, sources(mine=[f"{folder}/**"]))) == [("mine", f"{folder}/a.jsonl", "a")]


def test_a_shard_whose_name_is_not_utf8_is_refused_and_another_file_listed(tmp_path: Path) -> None:
    touch(tmp_path, "c4/a.jsonl")
    (tmp_path / os.fsdecode(b"c4/\xe9.txt")).touch()
    assert discover(tmp_path).ignored == ("c4/\\xe9.txt",)
    (tmp_path / os.fsdecode(b"c4/\xe9.jsonl")).touch()
    assert message(ShardUnreadable, tmp_path) == (
        f"the name of {tmp_path}/c4/\\xe9.jsonl is not UTF-8; rename the file or its folder"
    )


# ------------------------------------------------------------------------------------------- numbers and pieces


@st.composite
def trees(draw: st.DrawFn) -> dict[str, bytes]:
    folders = st.sampled_from(["c4", "arxiv", "common_crawl", "own", "book"])
    paths = st.builds(
        lambda folder, name, suffix: f"{folder}/{name}{suffix}",
        folders,
        st.text("ab-1", min_size=1, max_size=3),
        st.sampled_from([".jsonl", ".jsonl.gz"]),
    )
    found = draw(st.sets(paths, min_size=1, max_size=8))
    once = {path.split(".")[0]: path for path in sorted(found)}
    return {path: b"x" * draw(st.integers(0, 300)) for path in once.values()}


@given(trees(), st.integers(1, 400))
def test_ids_order_documents_by_source_then_path_then_position(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes], piece_bytes: int
) -> None:
    corpus = discover(put(tmp_path_factory.mktemp("tree"), tree), piece_bytes=piece_bytes)
    order = names(corpus)
    folder_of = {"book": "books"}

    def precedence(relative: str) -> tuple[int, str]:
        folder = relative.split("/")[0]
        return order.index(folder_of.get(folder, folder)), relative

    by_id = [
        (shard.index << POSITION_BITS | position, *precedence(corpus.files[shard.file].relative), position)
        for shard in corpus.shards
        for position in (0, 1, (1 << POSITION_BITS) - 1)
    ]
    assert sorted(by_id) == sorted(by_id, key=lambda entry: entry[1:])
    assert sorted(tree) == [file.relative for file in corpus.files]
    first = corpus.first_shards
    assert first[0] == 0
    assert first[-1] == len(corpus.shards)
    for shard in corpus.shards:
        assert first[shard.source] <= shard.index < first[shard.source + 1]


@given(trees(), st.integers(1, 400))
def test_pieces_cover_each_file_once_and_only_plain_lines_are_cut(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes], piece_bytes: int
) -> None:
    corpus = discover(put(tmp_path_factory.mktemp("tree"), tree), piece_bytes=piece_bytes)
    for file in corpus.files:
        pieces = [piece for piece in corpus.pieces if piece.file == file]
        assert sum(piece.input_bytes for piece in pieces) == file.size
        if file.suffix == ".jsonl" and file.size > piece_bytes:
            assert [piece.start for piece in pieces] == list(range(0, file.size, piece_bytes))
            assert [piece.stop for piece in pieces] == [*range(piece_bytes, file.size, piece_bytes), file.size]
        else:
            assert [(piece.start, piece.stop) for piece in pieces] == [(0, None)]
    assert len({piece.name for piece in corpus.pieces}) == len(corpus.pieces)


def test_parts_of_a_file_are_named_by_number(tmp_path: Path) -> None:
    put(tmp_path, {"c4/a.jsonl": b"x" * 250, "c4/b.jsonl.gz": b"x" * 250, "c4/c.jsonl": b"x" * 100})
    assert [piece.name for piece in discover(tmp_path, piece_bytes=100).pieces] == [
        "c4/a-00000-of-00003",
        "c4/a-00001-of-00003",
        "c4/a-00002-of-00003",
        "c4/b",
        "c4/c",
    ]
