"""Files are whole or absent, and finished work is known by what it depended on."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
from pathlib import Path

import pytest

from slimpajama import OutputError
from slimpajama.storage.atomic import (
    atomic_file,
    fingerprint,
    read_json,
    remove_stale_temporaries,
    write_json,
)

DENIED = "mend the permissions or choose another output, then run the same command again: finished work is kept"
REMEDY = "free some space or choose another output, then run the same command again: finished work is kept"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_appears_when_its_block_ends_and_folders_are_made(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c.bin"
    with atomic_file(target) as file:
        file.write(b"whole")
        assert not target.exists()
        (temporary,) = names_in(tmp_path)
        assert re.fullmatch(r"c\.bin\.[0-9a-f]{8}\.tmp", temporary)
    assert target.read_bytes() == b"whole"
    assert names_in(tmp_path) == ["c.bin"]


def write_and_raise(target: Path, error: BaseException) -> None:
    with atomic_file(target) as file:
        file.write(b"half of the n")
        raise error


@pytest.mark.parametrize("error", [RuntimeError(), KeyboardInterrupt(), SystemExit()])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pytest.raises(type(error)):
        write_and_raise(target, error)
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_device_that_refuses_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(number: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    target = tmp_path / "shard.jsonl.zst"
    target.write_bytes(b"old")
    with pytest.raises(OutputError) as refusal, atomic_file(target) as file:
        file.write(b"new")
    remedy = DENIED if code == errno.EROFS else REMEDY
    assert str(refusal.value) == f"cannot write {target}: {os.strerror(code)}; {remedy}"
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["shard.jsonl.zst"]


def test_a_write_that_fails_half_way_is_named(tmp_path: Path) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def write() -> None:
        with atomic_file(tmp_path / "file") as file:
            for _ in range(100):
                file.write(b"x" * 10_000)

    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, usual[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*file: File too large; free some space"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        signal.signal(signal.SIGXFSZ, handler)
    assert names_in(tmp_path) == []


def test_a_file_that_may_not_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OutputError) as refusal, atomic_file(tmp_path / "file"):
        pass
    assert str(refusal.value) == f"cannot write {tmp_path / 'file'}: Permission denied; {DENIED}"


def test_a_folder_that_may_not_be_made_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"cannot write .*Permission denied"), atomic_file(tmp_path / "new" / "file"):
        pass


def test_an_output_below_something_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    for target in (tmp_path / "file" / "summary.json", tmp_path / "file" / "work" / "rows.json"):
        with pytest.raises(OutputError, match="cannot write"), atomic_file(target):
            pass
    assert (tmp_path / "file").read_bytes() == b"in the way"


def test_an_output_whose_name_is_a_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "summary.json").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*summary\.json: Is a directory"):
        write_json(tmp_path / "summary.json", {})
    assert names_in(tmp_path) == []


def test_what_cannot_be_read_inside_the_block_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"), atomic_file(tmp_path / "file"):
        (tmp_path / "absent").read_bytes()
    assert names_in(tmp_path) == []


# ---------------------------------------------------------------------------------------------- JSON and fingerprints


def test_json_is_written_sorted_and_read_back(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": {"é": True}, "c": 2**63}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert (tmp_path / "value.json").read_text().startswith('{\n  "a": {\n    "é": true\n  },\n  "b": [')


def test_json_that_is_absent_or_broken_reads_as_none(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"fingerprint": "ab')
    (tmp_path / "empty.json").write_text("")
    assert [read_json(tmp_path / f"{name}.json") for name in ("absent", "broken", "empty")] == [None, None, None]


@pytest.mark.parametrize(
    ("parts", "digest"),
    [
        ((), "7ebb3c7c2a87b1a2f8a7ed729ecb040d"),
        ((1, ["a", 2.5, None], {"b": 1, "a": "é"}), "f366898406e17aa527ed2e1848cadd26"),
    ],
)
def test_a_fingerprint_is_the_same_on_every_machine(parts: tuple[object, ...], digest: str) -> None:
    assert fingerprint(*parts) == digest


def test_a_fingerprint_ignores_the_order_of_keys_and_nothing_else() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    different = [(), ("a",), ("a", "b"), (["a", "b"],), ("ab",), (1,), ("1",), (None,), (True,), (1.5,), ({"a": 1},)]
    assert len({fingerprint(*parts) for parts in different}) == len(different)


def test_what_interrupted_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = (
        "scratch-1.tmp/ids.tmp",
        "a.arrow.0123abcd.tmp",
        "2019.tmp/b.89abcdef.tmp",
        "deep/er/c.parquet.00000000.tmp",
    )
    kept = (
        "a.arrow",
        "2019.tmp/b",
        "mine.tmp",
        "deep/tmp",
        "deep/scratch-2.tmp/d",
        "0123abcd.tmp",
        "f.0123abcd.tmp.txt",
    )
    for name in left + kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert remove_stale_temporaries([tmp_path]) == 4
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == set(kept)
    assert not (tmp_path / "scratch-1.tmp").exists()
    assert remove_stale_temporaries([tmp_path / "absent"]) == 0


@pytest.mark.parametrize("name", ["a" * 255, "a" * 251 + ".txt", "é" * 127, "\U0001f999" * 63 + "abc", "short"])
def test_a_file_of_any_name_that_a_disk_allows_is_written(tmp_path: Path, name: str) -> None:
    with atomic_file(tmp_path / name) as file:
        file.write(b"whole")
        (temporary,) = tmp_path.iterdir()
        assert len(os.fsencode(temporary.name)) <= 255
        assert re.fullmatch(r".*\.[0-9a-f]{8}\.tmp", temporary.name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"whole"}


def test_a_link_to_nothing_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "gone")
    way = "a file or a link to nothing is in the way: remove it or choose another"
    with pytest.raises(OutputError, match=way), atomic_file(tmp_path / "out" / "file"):
        pass
