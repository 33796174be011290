"""The command line: what it prints where, with which exit code, and that Ctrl-C loses nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import slimpajama
from slimpajama.cli.errors import reported, results_only
from slimpajama.cli.main import app
from slimpajama.corpus.file_formats import endings_in_words
from tests.corpus.shards import compressed, files_below, jsonl, put

REPOSITORY = Path(__file__).parents[2]
HINT = "interrupted; finished work is kept: run the same command again to go on\n"


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    """Compile them, or load them, before any output is looked at."""
    __import__("slimpajama.dedup.compiled")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    text = {name: " ".join(f"{name}{number**3}" for number in range(60)) for name in ("one", "two")}
    return put(tmp_path / "in", {"c4/a.jsonl": [text["one"], text["one"]], "own/b.jsonl.gz": [text["two"]]})


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def dedup(source: Path, *words: object, out: Path | None = None) -> Result:
    return call("dedup", "--workers", 1, "--input", source, "--output", out or source.parent / "out", *words)


# ------------------------------------------------------------------------------------------------ what is printed


def test_the_table_and_where_to_look_go_to_standard_output(corpus: Path) -> None:
    result = dedup(corpus)
    assert result.exit_code == 0
    assert result.stderr.startswith("9 bands x 13 rows link a pair of Jaccard 0.50: 0.1%, 0.60: 1.2%, 0.70: 8.4%")
    assert result.stderr.count("\n") == 1
    table = [line.split() for line in result.stdout.splitlines()]
    assert table[0][:4] == ["source", "documents", "MB", "bad"]
    rows = {line[0]: line[1:] for line in table if line and line[0] in ("c4", "own", "total")}
    # Documents, MB, bad, short, duplicate and exact copies locally and globally, kept locally and globally.
    assert rows["total"][:10] == ["3", "0.0", "0", "0", "1", "1", "1", "1", "2", "2"]
    assert ["c4", "2", "0.0", "0", "0", "1", "1", "1", "1", "1", "1", "50.00", "50.00"] in table
    assert ["own", "1", "0.0", "0", "0", "0", "0", "0", "0", "1", "1", "0.00", "0.00"] in table
    out = corpus.parent / "out"
    assert result.stdout.endswith(
        f"shards: {out}/global and {out}/local\ndecisions: {out}/decisions\nsummary: {out}/summary.json\n"
    )


def test_what_libraries_print_is_kept_off_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with results_only():
        print("(raylet) The node with node id 1 has been marked dead")
    print("{}")
    assert capsys.readouterr() == ("{}\n", "(raylet) The node with node id 1 has been marked dead\n")


def test_files_not_read_and_bad_records_are_mentioned(corpus: Path) -> None:
    put(corpus, {"c4/c.jsonl": b"broken\n" + (corpus / "c4" / "a.jsonl").read_bytes(), "c4/notes.txt": b""})
    result = dedup(corpus, "--set", "max_bad_fraction=0.5")
    assert "not read: 1 file(s) or folder(s), e.g. c4/notes.txt\n" in result.stdout
    assert "warning: not read: 1 file(s) have an ending that is not read, e.g. c4/notes.txt; shards" in result.stderr
    assert f"bad records: {corpus.parent}/out/quarantine\n" in result.stdout


@pytest.mark.parametrize(("scope", "said"), [("global", "global"), ("local", "local")])
def test_only_the_shards_that_were_asked_for_are_announced(corpus: Path, scope: str, said: str) -> None:
    result = dedup(corpus, "--scope", scope)
    assert f"\nshards: {corpus.parent}/out/{said}\n" in result.stdout


def test_json_alone_is_on_standard_output_and_is_the_summary(corpus: Path) -> None:
    result = dedup(corpus, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    summary = json.loads(result.stdout)
    assert summary == json.loads((corpus.parent / "out" / "summary.json").read_bytes())
    assert summary["sources"]["total"]["global"]["kept"]["documents"] == 2


def test_quiet_prints_nothing(corpus: Path) -> None:
    result = dedup(corpus, "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_a_second_run_says_what_it_reused(corpus: Path) -> None:
    dedup(corpus)
    result = dedup(corpus)
    assert (
        "read and sketch 0.0 s (2 of 2 reused), exact 0.0 s (1 of 1 reused), link 0.0 s (9 of 9 reused)"
        in result.stdout
    )
    assert " MB/s: " not in result.stdout


def test_settings_are_taken_from_the_file_then_set_then_flags(corpus: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("scope: local\nseed: 5\nmin_cleaned_characters: 7\nsources: [own, c4]\n")
    result = dedup(corpus, "--config", config, "--set", "seed=6", "--set", "scope=both", "--scope", "global", "--json")
    chosen = json.loads(result.stdout)["settings"]
    assert (chosen["scope"], chosen["seed"], chosen["min_cleaned_characters"]) == ("global", 6, 7)
    assert [source["name"] for source in chosen["sources"]] == ["own", "c4"]


def test_a_preset_is_chosen_by_its_option_and_single_settings_beat_it(corpus: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("preset: nemo\nseed: 7\n")
    result = dedup(corpus, "--preset", "fineweb", "--config", str(config), "--set", "shingle.length=7", "--json")
    settings = json.loads(result.stdout)["settings"]
    assert (settings["preset"], settings["shingle"]) == ("fineweb", {"unit": "word", "length": 7})
    assert (settings["bands"], settings["rows"], settings["num_perm"], settings["seed"]) == (14, 8, 112, 7)


def test_help_names_the_commands_and_the_exit_codes() -> None:
    result = call("--help")
    assert result.exit_code == 0
    assert "dedup" in result.stdout
    assert "sample" in result.stdout
    assert "130 interrupted" in " ".join(result.stdout.split())
    assert "--scope" in call("dedup", "--help").stdout


def test_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert call("--version").stdout == f"slimpajama {version('slimpajama')}\n"


# --------------------------------------------------------------------------------------------------- errors


def cut(name: str) -> bytes:
    return compressed(name, jsonl([{"text": "words " * 100}] * 50))[:-9]


Spoil = Callable[[Path, Path], list[object]]

FAILURES: dict[str, tuple[int, Spoil, str]] = {
    "unknown setting": (
        2,
        lambda source, out: ["--set", "sede=1"],
        "--set: there is no setting 'sede'; the settings are preset, sources, layout, strict_input, scope, ",
    ),
    "wrong value": (2, lambda source, out: ["--set", "seed=-1"], "--set: seed: "),
    "no assignment": (
        2,
        lambda source, out: ["--set", "seed"],
        "--set seed: write it as key=value, for example --set memory=8GiB",
    ),
    "no such config": (
        2,
        lambda source, out: ["--config", source / "none.yaml"],
        "the config {source}/none.yaml does not exist; give a YAML file or one of the presets ",
    ),
    "config is no YAML": (
        2,
        lambda source, out: ["--config", put(source, {"c.yaml": b"a: [1"}) / "c.yaml"],
        "{source}/c.yaml is not YAML: ",
    ),
    "config that would run code": (
        2,
        lambda source, out: [
            "--config",
            put(source, {"c.yaml": b"seed: !!python/object/apply:os.getpid []"}) / "c.yaml",
        ],
        "{source}/c.yaml is not YAML: could not determine a constructor for the tag ",
    ),
    "output inside input": (
        2,
        lambda source, out: ["--output", source / "out"],
        "the output {source}/out lies inside the input {source}; choose another place",
    ),
    "no input": (
        3,
        lambda source, out: ["--input", source / "none"],
        "cannot read the input {source}/none: No such file or directory; give a shard, or a folder that holds shards",
    ),
    "no shard": (
        3,
        lambda source, out: ["--input", put(source.parent / "empty", {"a.txt": b""})],
        f"no shard below {{out}}/../empty: looked for files ending in {endings_in_words()}",
    ),
    "no such source": (
        3,
        lambda source, out: ["--set", "sources=[c4, wiki]"],
        "source 'wiki' has no shard: nothing below {source} matches wiki/**; correct its paths or leave the source out",
    ),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_an_error_is_one_sentence_on_standard_error_with_its_exit_code(kind: str, corpus: Path) -> None:
    code, spoil, message = FAILURES[kind]
    out = corpus.parent / "out"
    result = dedup(corpus, "--quiet", *spoil(corpus, out))
    assert result.exit_code == code
    assert result.stdout == ""
    message = message.replace("{out}/..", str(out.parent)).replace("{source}", str(corpus))
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    assert not (out / "summary.json").exists()


@pytest.mark.parametrize("name", ["z.jsonl.zst", "z.jsonl.gz"])
def test_a_truncated_shard_is_an_unusable_input(corpus: Path, name: str) -> None:
    path = corpus / "c4" / name
    path.write_bytes(cut(name))
    result = dedup(corpus, "--quiet")
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: {path} is corrupt or breaks off (")
    assert result.stderr.endswith(
        "); replace it, remove it, or set truncated=keep to use the whole records before the fault\n"
    )
    assert dedup(corpus, "--quiet", "--set", "truncated=keep").exit_code == 0


def test_too_many_bad_records_are_an_unusable_input(corpus: Path) -> None:
    put(corpus, {"c4/c.jsonl": b'{"text": 1}\n'})
    result = dedup(corpus, "--quiet")
    assert result.exit_code == 3
    assert result.stderr == (
        f"error: {corpus}/c4/c.jsonl: 1 of 1 records read are bad (100.0%, allowed are 1.0%), the first at byte 0: "
        "'text' is a number, not a string; mend or remove the shard\n"
    )


@pytest.mark.parametrize("below", ["", "below"])
def test_an_output_that_is_a_file_cannot_be_written(corpus: Path, below: str) -> None:
    taken = corpus.parent / "taken"
    taken.write_text("mine")
    result = dedup(corpus, "--quiet", out=taken / below)
    assert result.exit_code == 4
    assert result.stderr.startswith(f"error: cannot write {taken}")
    assert result.stderr.endswith(
        "; a file or a link to nothing is in the way: remove it or choose another output, then run the same command "
        "again: finished work is kept\n"
    )
    assert taken.read_text() == "mine"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (slimpajama.InputChanged("a shard changed"), 3),
        (slimpajama.WorkerDied("a worker died"), 5),
        (slimpajama.ConservationError("lost some"), 6),
    ],
)
def test_every_error_has_its_exit_code(
    capsys: pytest.CaptureFixture[str], error: slimpajama.SlimpajamaError, code: int
) -> None:
    with pytest.raises(typer.Exit) as end, reported(debug=False, quiet=True):
        raise error
    assert end.value.exit_code == code
    assert capsys.readouterr() == ("", f"error: {error}\n")


def test_debug_shows_where_an_error_came_from(corpus: Path) -> None:
    result = dedup(corpus, "--set", "sede=1", "--debug")
    assert isinstance(result.exception, slimpajama.ConfigError)


@pytest.mark.parametrize(
    "words",
    [[], ["--input", "x"], ["--scope", "some"], ["--workers", "0"], ["--workers", "many"], ["--nonsense"], ["extra"]],
)
def test_wrong_words_are_explained_with_exit_code_2(words: list[str], tmp_path: Path) -> None:
    required = ["--input", tmp_path, "--output", tmp_path / "out"] if words and words != ["--input", "x"] else []
    result = call("dedup", *required, *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr
    assert "Traceback" not in result.stderr


# --------------------------------------------------------------------------------------------- real processes


@pytest.mark.parametrize(
    "start",
    [["-m", "slimpajama", "dedup"], [str(REPOSITORY / "scripts" / "dedup.py")]],
    ids=["module", "script"],
)
def test_the_module_and_the_script_are_the_command(corpus: Path, start: list[str], tmp_path: Path) -> None:
    words = ["--input", str(corpus), "--output", str(tmp_path / "out"), "--workers", "1", "--json"]
    finished = subprocess.run(
        [sys.executable, *start, *words], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    assert json.loads(finished.stdout)["sources"]["total"]["read"]["documents"] == 3
    refused = subprocess.run(
        [sys.executable, *start, *words, "--set", "seed"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "error: --set seed: write it as key=value, for example --set memory=8GiB\n"


def shards_and_decisions(out: Path) -> dict[str, bytes]:
    return {
        path: content
        for path, content in files_below(out).items()
        if path.startswith(("decisions/", "global/", "local/"))
    }


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, bytes]]:
    """A corpus that takes seconds to write at a high level, the settings, and what an undisturbed run writes."""
    folder = tmp_path_factory.mktemp("large")
    source = random.Random(1)
    words = ["".join(source.choices("abcdefghijklmnop", k=source.randint(2, 9))) for _ in range(5000)]
    shards = {
        f"{name}/{part}.jsonl": [" ".join(source.choices(words, k=300)) for _ in range(200)]
        for name in ("c4", "arxiv")
        for part in range(5)
    }
    put(folder / "in", shards)
    settings = ["--set", "compression_level=17", "--input", str(folder / "in")]
    assert call("dedup", *settings, "--output", folder / "undisturbed", "--quiet", "--workers", 2).exit_code == 0
    return folder, settings, shards_and_decisions(folder / "undisturbed")


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_says_how_to_go_on_and_going_on_gives_the_same_bytes(
    large: tuple[Path, list[str], dict[str, bytes]], workers: int
) -> None:
    folder, settings, expected = large
    out = folder / f"interrupted-{workers}"
    command = [sys.executable, "-m", "slimpajama", "dedup", *settings, "--output", str(out), "--workers", str(workers)]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 60
        while not list((out / "work" / "done" / "write").rglob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        interrupted = time.monotonic()
        os.killpg(running.pid, signal.SIGINT)  # what a terminal does
        printed, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert time.monotonic() - interrupted < 10
    assert running.returncode == 130
    assert printed == ""
    assert said.splitlines(keepends=True)[1:] == [HINT], "after the line on Jaccard, no traceback of any process"
    finished = len(list((out / "work" / "done" / "write").rglob("*.json")))
    assert 0 < finished < 10
    assert not (out / "summary.json").exists()
    assert not list(out.rglob("*.tmp")), "what was half written is gone"
    resumed = call("dedup", *settings, "--output", out, "--json", "--workers", 1)
    stages = json.loads(resumed.stdout)["stages"]
    assert stages["read and sketch"]["reused"] == 10
    assert stages["write"]["reused"] == finished
    assert shards_and_decisions(out) == expected
