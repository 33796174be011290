"""Where the files of a deduplication lie: names that users and other tools rely on."""

from __future__ import annotations

from pathlib import Path

from slimpajama.corpus.discovery import discover
from slimpajama.dedup.files.layout import BOTH, DedupLayout
from tests.corpus.shards import put


def test_every_file_of_a_bundle_is_named_after_its_source_and_shard(tmp_path: Path) -> None:
    corpus = discover(put(tmp_path / "in", {"c4/a.jsonl.gz": b"x", "arxiv/b.jsonl": b"{}\n"}))
    layout = DedupLayout(Path("out"), tuple(source.name for source in corpus.sources))
    (bundle,) = [bundle for bundle in corpus.bundles if bundle.name == "c4/a"]
    paths = [layout.rows_file(bundle), layout.decisions(bundle), layout.quarantine(bundle.name)]
    assert list(map(str, paths)) == [
        "out/work/rows/c4/a.arrow",
        "out/decisions/c4/a.parquet",
        "out/quarantine/c4/a.jsonl",
    ]
    assert [[str(shard.path) for shard in part] for part in layout.shards(bundle, 1, BOTH)] == [
        ["out/global/c4/a.jsonl.zst", "out/local/c4/a.jsonl.zst"]
    ]
    assert [[str(shard.path) for shard in part] for part in layout.shards(bundle, 2, ["local"])] == [
        ["out/local/c4/a-00000-of-00002.jsonl.zst"],
        ["out/local/c4/a-00001-of-00002.jsonl.zst"],
    ]
    assert {shard.source for shard in layout.shards(bundle, 1, BOTH)[0]} == {layout.sources.index("c4")}


def test_what_is_not_for_users_lies_in_work() -> None:
    layout = DedupLayout(Path("out"))
    assert str(layout.summary) == "out/summary.json"
    inner = (layout.done, layout.parts, layout.rows, layout.rows_list, layout.clusters, layout.index, layout.manifest)
    assert all(path.parent == layout.work for path in (*inner, layout.claims, layout.file_list))
    assert layout.relative(layout.links(3, 1)) == "work/links/3-1.arrow"
