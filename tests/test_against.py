"""New documents against an earlier deduplication: what is there is not kept again, and the old text is not touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from slimpajama import ConfigError, InputChanged, InputNotFound, deduplicate
from slimpajama.cli.main import app
from slimpajama.dedup.stages.link import LinkStage
from slimpajama.engine.local import LocalEngine
from slimpajama.pipeline.status import run_status
from slimpajama.pipeline.verify import verify_run
from tests.corpus.shards import files_below, put, records_of
from tests.watching import interrupted_in


def text(name: str) -> str:
    """A document of its own."""
    return " ".join(f"{name} says {number} and nothing {name}{number * 7919 % 1000} else" for number in range(40))


OLD = {"c4/a.jsonl": [text("ant"), text("bee"), text("ant")], "wiki/a.jsonl": [text("cat")]}
NEW = {
    "c4/a.jsonl": [text("bee"), text("dog"), text("dog"), text("cat")],
    "news/a.jsonl": [text("ant"), text("elk"), text("dog")],
}


def run(source: Path, out: Path, **settings: Any) -> dict[str, Any]:
    return deduplicate(source, out, workers=1, **settings).as_dict()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    run(put(tmp_path / "old-in", OLD), tmp_path / "old")
    return tmp_path / "old"


def kept(out: Path, scope: str) -> dict[str, list[str]]:
    """The first word of each document kept, by source."""
    return {
        source.name: [
            record["text"].split()[0] for path in sorted(source.rglob("*.zst")) for record in records_of(path)
        ]
        for source in sorted(path for path in (out / scope).iterdir() if path.is_dir())
    }


def touched(folder: Path) -> dict[str, bytes]:
    """All files of a run, without the one that readers lock."""
    return {name: content for name, content in files_below(folder).items() if name != ".lock"}


def test_what_an_earlier_run_has_is_not_kept_again_in_any_scope(old: Path, tmp_path: Path) -> None:
    before = touched(old)
    summary = run(put(tmp_path / "in", NEW), tmp_path / "new", against=str(old))
    assert kept(tmp_path / "new", "global") == {"c4": ["dog"], "news": ["elk"]}
    # A source is compared with the source of that name.
    assert kept(tmp_path / "new", "local") == {"c4": ["dog", "cat"], "news": ["ant", "elk", "dog"]}
    assert touched(old) == before
    assert summary["overlap"]["survivors"] == ["c4", "news", "(earlier run)"]
    assert summary["overlap"]["documents"] == [[1, 0, 2], [1, 0, 1]]
    assert summary["sources"]["total"]["global"]["duplicate"]["documents"] == 5
    with LocalEngine(1) as engine:
        assert verify_run(tmp_path / "new", engine, memory=1 << 30).findings == []


def test_it_is_as_if_both_had_been_deduplicated_together(old: Path, tmp_path: Path) -> None:
    """With the old sources first; what is kept of the new ones is the same."""
    run(put(tmp_path / "in", NEW), tmp_path / "new", against=str(old))
    for path, records in NEW.items():
        put(tmp_path / "both-in", {f"new-{path}": records})
    for path, records in OLD.items():
        put(tmp_path / "both-in", {f"old-{path}": records})
    names = ["old-c4", "old-wiki", "new-c4", "new-news"]
    run(tmp_path / "both-in", tmp_path / "both", sources=names)
    together = kept(tmp_path / "both", "global")
    alone = kept(tmp_path / "new", "global")
    assert {name: together[f"new-{name}"] for name in alone} == alone


def test_the_result_can_be_the_next_to_compare_with(old: Path, tmp_path: Path) -> None:
    run(put(tmp_path / "in", NEW), tmp_path / "new", against=str(old))
    third = {"c4/a.jsonl": [text("ant"), text("dog"), text("elk"), text("fox"), text("cat")]}
    summary = run(put(tmp_path / "in3", third), tmp_path / "third", against=str(tmp_path / "new"))
    assert kept(tmp_path / "third", "global") == {"c4": ["fox"]}
    assert summary["overlap"]["documents"] == [[0, 4]]
    ids = pq.read_table(tmp_path / "third" / "decisions" / "c4").column("id").to_pylist()
    assert [one >> 40 for one in ids] == [4] * 5, "after the two shards of each run before"


def test_a_document_that_joins_two_old_clusters_changes_neither(old: Path, tmp_path: Path) -> None:
    both = text("ant") + " " + text("bee")
    before = touched(old)
    run(put(tmp_path / "in", {"c4/a.jsonl": [both, text("ant"), text("bee")]}), tmp_path / "new", against=str(old))
    assert touched(old) == before
    assert "bee" not in kept(tmp_path / "new", "global")["c4"][1:]


def test_without_change_nothing_is_done_again_and_a_changed_index_is_linked_anew(old: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "in", NEW)
    run(source, tmp_path / "new", against=str(old))
    again = run(source, tmp_path / "new", against=str(old))
    assert all(stage["reused"] == stage["items"] for stage in again["stages"].values())
    put(tmp_path / "old-in", {"c4/b.jsonl": [text("elk")]})
    run(tmp_path / "old-in", old)
    run(source, tmp_path / "new", against=str(old))
    assert kept(tmp_path / "new", "global") == {"c4": ["dog"], "news": []}


def test_keys_that_were_made_otherwise_are_refused(old: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run(put(tmp_path / "in", NEW), tmp_path / "new", against=str(old), seed=2)
    assert str(caught.value) == (
        f"seed is 2, but {old} was made with 1: keys can only be compared with keys made alike; use the same setting, "
        "or make one of the two anew"
    )


def test_an_index_that_is_gone_or_none_is_named(old: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "in", NEW)
    with pytest.raises(InputNotFound, match=r"nothing holds no finished deduplication with an index; give what"):
        run(source, tmp_path / "new", against=str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="cannot be deduplicated against itself; choose another output"):
        run(source, old, against=str(old))
    shutil.rmtree(old / "work" / "rows" / "c4")
    with pytest.raises(InputChanged, match=r"a\.arrow, which .*old was deduplicated with, is missing; bring it back"):
        run(source, tmp_path / "new", against=str(old))


def test_keys_that_were_damaged_at_the_same_size_are_refused_until_they_are_made_anew(
    old: Path, tmp_path: Path
) -> None:
    source = put(tmp_path / "in", NEW)
    keys = old / "work" / "rows" / "c4" / "a.arrow"
    content = keys.read_bytes()
    keys.write_bytes(bytes(byte ^ 0x55 for byte in content))
    with pytest.raises(InputChanged) as caught:
        run(source, tmp_path / "new", against=str(old))
    assert str(caught.value) == (
        f"{keys} is not what was written; remove it and run the deduplication in {old} again: it is made anew"
    )
    keys.unlink()
    run(tmp_path / "old-in", old)
    assert keys.read_bytes() == content
    run(source, tmp_path / "new", against=str(old))
    assert kept(tmp_path / "new", "global") == {"c4": ["dog"], "news": ["elk"]}


def test_the_command_takes_it_as_an_option_and_shows_the_column(old: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "in", NEW)
    arguments = ["dedup", "--input", str(source), "--output", str(tmp_path / "new"), "--workers", "1"]
    result = CliRunner().invoke(app, [*arguments, "--against", str(old)])
    assert result.exit_code == 0
    assert "removed from, kept in  c4  news  (earlier run)" in result.stdout
    result = CliRunner().invoke(app, ["status", str(tmp_path / "new")])
    assert result.stdout.splitlines()[-1] == "everything is done"


def test_a_run_that_is_made_anew_is_nothing_to_compare_with_until_it_is_finished(old: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(
            tmp_path / "old-in", old, seed=2, engine=interrupted_in(LinkStage, 0)
        )  # has written other keys, in files of the same sizes
    source = put(tmp_path / "in", NEW)
    with pytest.raises(InputNotFound, match=r"old holds no finished deduplication .* if it was interrupted, or"):
        run(source, tmp_path / "new", against=str(old))
    run(tmp_path / "old-in", old)
    run(source, tmp_path / "new", against=str(old))
    assert kept(tmp_path / "new", "global") == {"c4": ["dog"], "news": ["elk"]}


def test_the_first_of_a_chain_made_anew_is_noticed_at_its_end(old: Path, tmp_path: Path) -> None:
    run(put(tmp_path / "in2", {"c4/a.jsonl": [text("fox")]}), tmp_path / "second", against=str(old))
    third = put(tmp_path / "in3", NEW)
    run(tmp_path / "old-in", old, seed=2)
    with pytest.raises(InputChanged, match=r"old was deduplicated again since .*second was compared with it, and .*"):
        run(third, tmp_path / "third", against=str(tmp_path / "second"))
    run(tmp_path / "old-in", old)
    run(third, tmp_path / "third", against=str(tmp_path / "second"))
    assert kept(tmp_path / "third", "global") == {"c4": ["dog"], "news": ["elk"]}


def test_the_state_is_told_from_any_folder(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "in", NEW)
    monkeypatch.chdir(tmp_path)
    run(Path("in"), Path("new"), against="old")
    monkeypatch.chdir("/")
    assert run_status(tmp_path / "new").finished


def test_a_chain_cannot_lead_back_to_its_own_output(old: Path, tmp_path: Path) -> None:
    run(put(tmp_path / "in", NEW), tmp_path / "new", against=str(old))
    with pytest.raises(ConfigError, match="old cannot be deduplicated against itself; choose another output"):
        run(tmp_path / "old-in", old, against=str(tmp_path / "new"))
