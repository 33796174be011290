"""Every file of a finished run is listed; each that is changed or gone is found, and each foreign one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from slimpajama.config.run import load_run_config
from slimpajama.engine.local import LocalEngine
from slimpajama.pipeline.run import run_all
from slimpajama.pipeline.verify import verify_run
from slimpajama.storage.file_list import FILE_LIST, FileList, files_in, read_file_list
from slimpajama.verification.listed_files import ListedFile, check_listed, foreign_files, is_sound, listed_files

LISTS = ((".", FILE_LIST), ("dedup", f"work/{FILE_LIST}"), ("mixtures", f"tokens/{FILE_LIST}"))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    recipe = {"name": "web", "weights": {"c4": 100}, "tokens": 20_000, "sequence_length": 64, "max_epochs": 50}
    (folder / "web.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    config = {
        "sample": {"docs": 200, "seed": 4},
        "dedup": {"workers": 1},
        "tokens": {"holdout": 0.1},
        "mixtures": {"recipes": ["web.yaml"]},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    run_all(load_run_config(folder / "run.yaml"), folder, folder / "run")
    return folder / "run"


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def lists(run: Path) -> Iterator[tuple[Path, FileList]]:
    for folder, name in LISTS:
        listing = read_file_list(run / folder / name)
        assert listing is not None, name
        yield run / folder, listing


def test_every_file_of_a_run_is_listed_and_found_when_it_is_changed_or_gone(run: Path) -> None:
    files = [file for root, listing in lists(run) for file in listed_files(root, listing, ())]
    below = {run / name for name in files_in(run, "") if not name.endswith(".lock")}
    assert {file.path for file in files} == below - {run / FILE_LIST}
    assert len(files) > 100
    for file in files:
        content = file.path.read_bytes()
        assert check_listed(file).findings == []
        for at in {0, len(content) // 2, len(content) - 1} if content else ():
            changed = bytearray(content)
            changed[at] ^= 1
            file.path.write_bytes(changed)
            (finding,) = check_listed(file).findings
            assert finding.startswith(f"{file.path} is not what was written"), finding
        file.path.unlink()
        (finding,) = check_listed(file).findings
        assert finding == f"{file.path} is missing; run the same command again: it is made anew"
        file.path.write_bytes(content)


def test_a_list_with_another_byte_is_none(run: Path) -> None:
    for folder, name in LISTS:
        path = run / folder / name
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
        assert read_file_list(path) is None


@pytest.mark.parametrize(
    "folder", ["global", "global/c4", "local/arxiv", "decisions", "quarantine", "sources/c4/train", "web"]
)
def test_a_foreign_file_is_found_in_folders_that_are_globbed(run: Path, folder: str) -> None:
    root = run / "dedup"
    folders = ["decisions", "global", "local", "quarantine"]
    if folder.startswith(("sources", "web")):
        root = run / "mixtures"
        folders = ["tokens/sources", "web"]
        folder = folder.replace("sources", "tokens/sources")
    listing = dict(lists(run))[root]
    assert foreign_files(root, listing, folders) == []
    stray = root / folder / "zzz.jsonl.zst"
    stray.parent.mkdir(exist_ok=True)  # no broken records, no quarantine
    stray.write_bytes(b"")
    (root / folder / ".notes").write_bytes(b"")
    (finding,) = foreign_files(root, listing, folders)
    assert finding == f"{stray} is not of this run, but lies among its files; move it elsewhere or remove it"


def test_what_other_checks_go_by_is_sound_only_as_it_was_written(run: Path) -> None:
    root, listing = next(found for found in lists(run) if found[0].name == "dedup")
    assert is_sound(root, "summary.json", listing)
    (root / "summary.json").write_bytes((root / "summary.json").read_bytes().replace(b"1", b"2", 1))
    assert not is_sound(root, "summary.json", listing)
    assert is_sound(root, "summary.json", None), "without a list it is not known"
    assert check_listed(ListedFile(root / "nothing.json", None)).findings[0].startswith(f"{root / 'nothing.json'} is m")


@pytest.mark.parametrize(
    "damaged",
    [
        "request.json",
        "files.json",
        "dedup/summary.json",
        "dedup/work/pieces.json",
        "dedup/work/index.json",
        "mixtures/tokens/store.json",
        "mixtures/tokens/tokenizer.json",
        "mixtures/tokens/holdout.npy",
        "mixtures/web/README.md",
        "mixtures/web/manifest.json",
        "mixtures/web",
        "mixtures",
        "dedup",
    ],
)
def test_the_whole_verification_finds_it_and_the_same_command_mends_it(sound: Path, run: Path, damaged: str) -> None:
    path = run / damaged
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_bytes(path.read_bytes()[:-2] + b"?\n")
    with LocalEngine(1) as engine:
        assert verify_run(run, engine, memory=1 << 30).findings
        run_all(load_run_config(sound.parent / "run.yaml"), sound.parent, run)
        assert verify_run(run, engine, memory=1 << 30).findings == []
