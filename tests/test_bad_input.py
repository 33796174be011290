"""Whatever the input holds, a user reads one plain sentence about it, and nothing sound is lost."""

from __future__ import annotations

import gzip
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from slimpajama import ConfigError, ShardUnreadable, deduplicate, load_config
from slimpajama.cli.main import app
from slimpajama.corpus.discovery import discover
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.rebuilt_line import rebuilt_line
from slimpajama.corpus.records import read_records
from tests.corpus.reading import BROKEN
from tests.corpus.shards import compressed, jsonl, put, records_of

SOUND = [" ".join(f"{name}{number**3}" for number in range(60)) for name in ("ant", "bee", "cow", "dog")]
LINES = [jsonl([{"text": text}]) for text in SOUND]


def run(source: Path, **chosen: Any) -> dict[str, Any]:
    return deduplicate(source, source.parent / "out", **{"workers": 1, "max_bad_fraction": 1.0, **chosen}).as_dict()


def kept(source: Path, shard: str = "c4/a") -> list[str]:
    return [record["text"] for record in records_of(source.parent / "out" / "global" / f"{shard}.jsonl.zst")]


def statuses(source: Path) -> list[str]:
    table = pq.read_table(source.parent / "out" / "decisions", columns=["id", "status"]).to_pylist()
    return [row["status"] for row in sorted(table, key=lambda row: row["id"])]


def message(source: Path, *words: str) -> str:
    """What the command says, as one line, and it ends with the code for an unusable input."""
    command = ["dedup", "--input", str(source), "--output", str(source.parent / "out"), "--workers", "1", "--quiet"]
    result = CliRunner().invoke(app, [*command, *words])
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip("\n")


# ------------------------------------------------------------------------------------------------- bad records


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.jsonl.gz"])
def test_broken_records_of_every_kind_go_to_the_quarantine_and_the_rest_is_kept(tmp_path: Path, name: str) -> None:
    content, places = b"", []
    for number, (line, _) in enumerate(BROKEN.values()):
        content += LINES[number % 4]
        places.append(len(content))
        content += line + b"\r\n" * (number % 2) + b"\n" * (1 - number % 2)
    large = b'{"text": "' + b"x" * 300_000 + b'"}'
    places.append(len(content))
    source = put(tmp_path / "in", {f"c4/{name}": content + large + b"\n" + LINES[3]})
    summary = run(source, max_document_bytes=250_000)
    assert kept(source) == SOUND
    figures = summary["sources"]["c4"]
    assert figures["read"]["documents"] == 2 * len(BROKEN) + 2
    assert figures["bad"]["documents"] == len(BROKEN) + 1
    assert figures["global"]["kept"]["documents"] + figures["global"]["duplicate"]["documents"] == len(BROKEN) + 1
    quarantine = (source.parent / "out" / "quarantine" / "c4" / "a.jsonl").read_bytes().splitlines()
    records = [orjson.loads(line) for line in quarantine]
    assert [record["position"] for record in records] == places
    for record, (line, reason) in zip(records, BROKEN.values(), strict=False):
        assert record["shard"] == f"c4/{name}"
        assert record["reason"].startswith(reason)
        assert record["first_bytes"].startswith(line[:100].decode(errors="backslashreplace"))
    assert (records[-1]["reason"], records[-1]["bytes"]) == ("too large", len(large))


def test_the_message_on_too_many_names_shard_offset_reason_and_remedy(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": LINES[0] + b'{"text": "\xff"}\n'})
    assert message(source) == (
        f"{source}/c4/a.jsonl: 1 of 2 records read are bad (50.0%, allowed are 1.0%), the first at byte "
        f"{len(LINES[0])}: not UTF-8 (byte 10 of the record); mend or remove the shard, or raise max_bad_fraction"
    )


TOKENS = [b"{", b"}", b"[", b"]", b",", b":", b'"', b'"text"', b'"text":"a"', b'"meta":{}', b'"meta":null', b"\\u0000"]
TOKENS += [b"\\ud800", b"\xff", b"\xc3\xa9", b"1", b"-1e5", b"null", b"NaN", b" ", b"\r", b"\n", b"\n", b'{"text":"a"}']
TOKENS += [b'{"text":"b","meta":{"k":[1]},"o":"\\"}"}', b"\0", b"\xef\xbb\xbf", b'"a"', b"\\"]


@given(st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=3)), max_size=40), st.integers(1, 64))
def test_of_any_bytes_every_line_that_is_not_blank_is_one_record_and_what_is_sound_can_be_written(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[bytes], block: int
) -> None:
    content = b"".join(tokens)
    (piece,) = discover(put(tmp_path_factory.mktemp("soup"), {"c4/a.jsonl": content})).pieces
    batches = list(read_records(piece, LineReader(block_bytes=block)))
    expected_texts, records, offset = [], [], 0
    *whole, last = content.split(b"\n")
    for line in [*whole, last.rstrip(b"\0")]:  # a file may be padded with NULs
        framing = re.match(rb"(\xef\xbb\xbf|\x1e)*", line)
        assert framing is not None
        record = b" " * framing.end() + line[framing.end() :]
        if record.strip(b" \t\r"):
            records.append((offset, len(record)))
            try:
                text = orjson.loads(record)["text"]
                assert isinstance(text, str)
            except (orjson.JSONDecodeError, TypeError, KeyError, AssertionError):
                pass
            else:
                expected_texts.append(text)
                assert orjson.loads(rebuilt_line(record, "S"))["text"] == text
        offset += len(line) + 1
    assert [
        entry for batch in batches for entry in zip(batch.ids.tolist(), batch.sizes.tolist(), strict=True)
    ] == records
    assert [text for batch in batches for text in batch.texts.decoded()] == expected_texts
    assert sum(len(batch.bad) for batch in batches) == len(records) - len(expected_texts)


def test_nuls_and_odd_characters_in_a_sound_record_survive(tmp_path: Path) -> None:
    texts = [
        f"{odd} {text}" for odd, text in zip(("\0", "\x7f\x85\u2028", "\U0010ffff\ufeff", "\u202e"), SOUND, strict=True)
    ]
    source = put(tmp_path / "in", {"c4/a.jsonl": texts})
    run(source)
    assert kept(source) == texts


def test_a_record_nested_as_deep_as_json_may_be_is_kept_and_one_deeper_is_bad(tmp_path: Path) -> None:
    lines = [
        b'{"text": "%s", "x": %s}' % (SOUND[number].encode(), b"[" * levels + b"]" * levels)
        for number, levels in enumerate((1022, 100_000))
    ]
    source = put(tmp_path / "in", {"c4/a.jsonl": b"\n".join(lines)})
    run(source)
    assert statuses(source) == ["kept", "bad"]
    assert kept(source) == SOUND[:1]


# ---------------------------------------------------------------------------------------------- broken files


@pytest.mark.parametrize("share", [0.3, 0.99])
@pytest.mark.parametrize("name", ["b.jsonl.zst", "b.jsonl.gz"])
def test_a_shard_that_breaks_off_stops_the_run_or_is_kept_up_to_there(tmp_path: Path, name: str, share: float) -> None:
    noise = random.Random(1)
    whole = compressed(name, jsonl({"text": noise.randbytes(300).hex()} for _ in range(1000)))
    source = put(tmp_path / "in", {"c4/a.jsonl": SOUND})
    (source / "c4" / name).write_bytes(whole[: int(len(whole) * share)])
    said = message(source)
    assert said.startswith(f"{source}/c4/{name} is corrupt or breaks off (")
    assert said.endswith("); replace it, remove it, or set truncated=keep to use the whole records before the fault")
    summary = run(source, truncated="keep")
    assert kept(source) == SOUND
    found = summary["sources"]["c4"]["read"]["documents"] - 4
    assert 0 < found < 1000
    assert summary["sources"]["c4"]["bad"]["documents"] == 0, "the record cut in two is not counted"


def test_a_broken_parquet_file_stops_the_run_by_name(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": SOUND, "c4/b.parquet": SOUND})
    path = source / "c4" / "b.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    said = message(source, "--set", "truncated=keep")
    assert said.startswith(f"{path} is not a readable Parquet file (")
    assert said.endswith("); replace or remove it")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (pa.table({"text": [1]}), "'text' is of type int64"),
        (pa.table({"content": ["a"]}), "its columns are content"),
    ],
)
def test_a_parquet_file_of_other_columns_stops_the_run_by_name(tmp_path: Path, table: pa.Table, reason: str) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": SOUND})
    pq.write_table(table, source / "c4" / "b.parquet")
    assert message(source) == (
        f"{source}/c4/b.parquet has no string column 'text' ({reason}); set text_field to the column that holds "
        "the text, or rename or convert that column"
    )


@pytest.mark.parametrize("name", ["b.jsonl.zst", "b.jsonl.gz"])
def test_text_that_is_named_as_if_it_were_compressed_is_refused(tmp_path: Path, name: str) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": SOUND})
    (source / "c4" / name).write_bytes(LINES[0])
    assert f"{source}/c4/{name} is corrupt or breaks off (" in message(source)


def test_compressed_bytes_that_are_named_as_if_they_were_text_are_bad_records(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": gzip.compress(LINES[0] * 20)})
    assert "records read are bad (100.0%" in message(source)


def test_an_absurd_window_is_refused_with_the_remedy(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": SOUND})
    (source / "c4" / "b.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00")
    for words in ([], ["--set", "truncated=keep"]):
        said = message(source, *words)
        assert said.startswith(f"{source}/c4/b.jsonl.zst needs a zstd window of more than 128 MiB (")
        assert said.endswith("); compress it again without --long or --ultra")


BOMB = """
import resource, sys
from slimpajama import deduplicate
deduplicate(sys.argv[1], sys.argv[2], workers=1, max_document_bytes="4MB", max_bad_fraction=1.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_bomb_costs_one_bad_record_and_no_memory(tmp_path: Path) -> None:
    packer = zstandard.ZstdCompressor().compressobj()
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(250)) + packer.compress(b"\n" + LINES[1])
    bomb += packer.flush()
    assert len(bomb) < 100_000
    peaks = {}
    for name, stored in {"plain": compressed(".zst", LINES[1]), "bomb": bomb}.items():
        source = put(tmp_path / name / "in", {"c4/a.jsonl": LINES[0]})
        (source / "c4" / "b.jsonl.zst").write_bytes(stored)
        out = source.parent / "out"
        command = [sys.executable, "-c", BOMB, str(source), str(out)]
        peaks[name] = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert kept(tmp_path / "bomb" / "in", "c4/b") == SOUND[1:2]
    assert statuses(tmp_path / "bomb" / "in") == ["kept", "bad", "kept"]
    unit = 1 if sys.platform == "darwin" else 1024
    assert (peaks["bomb"] - peaks["plain"]) * unit < 100 << 20, "of 250 MB"


@pytest.mark.parametrize("name", ["b.jsonl", "b.jsonl.zst", "b.jsonl.gz"])
def test_files_of_no_bytes_and_of_blank_lines_are_empty_shards(tmp_path: Path, name: str) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": SOUND})
    for stored in (b"", compressed(name, b""), compressed(name, b"\n\r\n  \n")):
        (source / "c4" / name).write_bytes(stored)
        assert run(source)["sources"]["c4"]["read"]["documents"] == 4
        assert kept(source, "c4/b") == []


def test_a_parquet_file_of_no_bytes_is_refused(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": SOUND, "c4/b.parquet": b""})
    assert message(source).startswith(f"{source}/c4/b.parquet is not a readable Parquet file (")


# ------------------------------------------------------------------------------------------- paths and settings


def test_loops_of_links_end_and_are_mentioned(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": SOUND})
    (source / "c4" / "up").symlink_to(source)
    summary = run(source)
    assert summary["shards"]["ignored"] == ["c4/up"]
    assert statuses(source) == ["kept"] * 4


def test_no_pattern_reaches_outside_the_input(tmp_path: Path) -> None:
    put(tmp_path / "secret", {"a.jsonl": SOUND})
    source = put(tmp_path / "in", {"c4/a.jsonl": SOUND})
    for pattern in ("../secret/*", "c4/../../secret/*", str(tmp_path / "secret" / "*")):
        said = message(source, "--set", f"sources=[{{name: x, paths: ['{pattern}']}}]")
        assert said.startswith(f"source 'x' has no shard: nothing below {source} matches {pattern}; ")


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/etc", "", ".hidden"])
def test_no_source_name_is_a_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        load_config(None, [], sources=[{"name": name, "paths": ["c4/*"]}])


def test_names_of_files_are_not_interpreted(tmp_path: Path) -> None:
    names = ["c4/..a", "c4/-rf", "c4/a b;c", "c4/$(x)", "c4/%s{0}", "c4/na\nme", "c4/*", "c4/[a]", "c4/'\"<b>"]
    source = put(
        tmp_path / "in",
        {f"{name}.jsonl": [f"{name} {SOUND[0][::-1]} {number}" * 2] for number, name in enumerate(names)}
        | {"c4/z.jsonl": SOUND},
    )
    hidden = [name for name in names if name.split("/")[1].startswith((".", "_"))]
    summary = run(source)
    assert summary["shards"]["files"] == len(names) + 1 - len(hidden)
    for name in set(names) - set(hidden):
        assert (source.parent / "out" / "decisions" / f"{name}.parquet").exists()


def test_a_shard_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": SOUND})
    (source / os.fsdecode(b"c4/\xff.jsonl")).write_bytes(LINES[0])
    assert message(source) == f"the name of {source}/c4/\\xff.jsonl is not UTF-8; rename the file or its folder"
    with pytest.raises(ShardUnreadable):
        run(source)


def test_aliases_that_multiply_are_refused_in_a_short_message(tmp_path: Path) -> None:
    levels = ["x0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    levels += [f"x{level}: &x{level} [{', '.join([f'*x{level - 1}'] * 9)}]" for level in range(1, 6)]
    config = tmp_path / "laughs.yaml"
    config.write_text("\n".join([*levels, "seed: *x5"]))
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    assert len(str(caught.value)) < 2000


def test_a_config_of_tags_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    config = tmp_path / "tags.yaml"
    config.write_text(f"seed: !!python/object/apply:os.mkdir ['{tmp_path}/made']")
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        load_config(config)
    assert not (tmp_path / "made").exists()
