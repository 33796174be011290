"""A run whose input, workspace and output lie in a bucket leaves there what a run on a disk does, whatever fails."""

from __future__ import annotations

import random
import re
import string
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from slimpajama import InputNotFound, OutputError, deduplicate
from slimpajama.config.dedup import Config
from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.dedup.stages.write import WriteStage
from slimpajama.engine.local import LocalEngine
from slimpajama.errors import WorkspaceLocked
from slimpajama.evidence.duplicates import SampledRemovals, duplicates
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.pipeline.explain import Explanation, explain
from slimpajama.pipeline.mix import make_mixtures
from slimpajama.pipeline.status import run_status
from slimpajama.stages.runner import Stages
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.fence import TRUSTED_SECONDS
from slimpajama.storage.local_cache import local_copy
from slimpajama.storage.lock import LOCK_FILE, locked
from slimpajama.storage.lock_object import lock_object
from slimpajama.storage.paths import opened, path_of, status_of
from tests.corpus.shards import files_below, put
from tests.storage.s3_server import Faults, failing_proxy, s3_server
from tests.watching import interrupted_in

FOLDERS = ("decisions/", "global/", "local/", "quarantine/", "sources/", "web/")


def document(number: int) -> str:
    source = random.Random(number)
    return " ".join("".join(source.choices(string.ascii_lowercase, k=9)) for _ in range(40))


DOCUMENTS = [document(number) for number in range(120)]
CORPUS = {
    "c4/a.jsonl": [*DOCUMENTS[:40], *DOCUMENTS[5:10]],
    "c4/b.jsonl.zst": DOCUMENTS[30:70],
    "arxiv/a.jsonl.gz": [*DOCUMENTS[60:90], DOCUMENTS[0]],
    "arxiv/b.parquet": DOCUMENTS[85:],
    "c4/broken.jsonl": b'{"text": 1}\n',
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


def reach(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the environment, as workers and users do it."""
    import s3fs

    for name, value in (
        ("AWS_ENDPOINT_URL", address),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A new bucket with the corpus in ``in/``."""
    reach(server, monkeypatch)
    root = path_of(f"s3://{re.sub('[^a-z0-9]+', '-', request.node.name)[:60].strip('-')}")
    root.mkdir()
    return root


def upload(local: Path, remote: Path) -> None:
    for path, content in files_below(local).items():
        (remote / path).write_bytes(content)


def stored(remote: Path) -> dict[str, bytes]:
    files = [path for path in remote.rglob("*") if path.is_file()]
    relative = {str(path).removeprefix(str(remote)).lstrip("/"): path for path in files}
    return {name: path.read_bytes() for name, path in sorted(relative.items()) if name.startswith(FOLDERS)}


def run(source: Path, out: Path, **chosen: Any) -> dict[str, Any]:
    """With two bands, as each of more would only be some more files in the bucket."""
    fixed = {"workers": 1, "max_bad_fraction": 1.0, "part_bytes": "64KiB", "bands": 2, "rows": 13}
    return deduplicate(source, out, **{**fixed, **chosen}).as_dict()


def explained(out: Path) -> tuple[SampledRemovals, list[Explanation]]:
    """Removals of a run, and all about a document of a compressed shard, of a plain one and of a table."""
    names = ("arxiv/a.jsonl.gz:31", "c4/a.jsonl:41", "arxiv/b.parquet:3")
    return duplicates(out), [explain(out, name, members=3) for name in names]


@pytest.fixture(scope="module")
def on_a_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the corpus in ``in/`` and what a run leaves in ``out/``."""
    folder = tmp_path_factory.mktemp("disk")
    put(folder / "in", CORPUS)
    run(folder / "in", folder / "out")
    return folder


@pytest.fixture
def expected(on_a_disk: Path) -> dict[str, bytes]:
    return {path: content for path, content in files_below(on_a_disk / "out").items() if path.startswith(FOLDERS)}


def test_two_workers_deduplicate_in_a_bucket_as_on_a_disk(
    bucket: Path, on_a_disk: Path, expected: dict[str, bytes]
) -> None:
    upload(on_a_disk / "in", bucket / "in")
    run(bucket / "in", bucket / "out", workers=2)
    assert stored(bucket / "out") == expected


def test_a_deduplication_in_a_bucket_is_that_on_a_disk(
    bucket: Path, on_a_disk: Path, expected: dict[str, bytes]
) -> None:
    upload(on_a_disk / "in", bucket / "in")
    summary = run(bucket / "in", bucket / "out")
    assert stored(bucket / "out") == expected
    assert summary["sources"]["total"]["bad"]["documents"] == 1
    again = run(bucket / "in", bucket / "out")
    assert all(stage["reused"] == stage["items"] for stage in again["stages"].values())
    assert run_status(bucket / "out").finished
    there, here = (explained(root / "out") for root in (bucket, on_a_disk))
    assert there == here
    (bucket / "out" / "global" / "c4" / "b.jsonl.zst").unlink()
    mended = run(bucket / "in", bucket / "out")
    assert mended["stages"]["write"]["reused"] == mended["stages"]["write"]["items"] - 1
    assert stored(bucket / "out") == expected


@pytest.mark.slow
def test_mixtures_in_a_bucket_are_those_on_a_disk(bucket: Path, on_a_disk: Path) -> None:
    upload(on_a_disk / "in", bucket / "in")
    run(bucket / "in", bucket / "out")
    recipe = Recipe(name="web", weights={"c4": 60, "arxiv": 40}, tokens=4000, sequence_length=50, max_epochs=50)
    files = []
    for root in (on_a_disk, bucket):
        with LocalEngine(1) as engine:
            make_mixtures(
                root / "out",
                [recipe],
                TokenConfig(vocabulary=600, holdout=0.1),
                root / "mix",
                stages=Stages(engine),
                memory=1 << 28,
            )
        files.append(files_below(root / "mix") if root == on_a_disk else stored_all(root / "mix"))
    chosen = [
        {name: content for name, content in one.items() if name.startswith(("tokens/sources", "web/train"))}
        for one in files
    ]
    assert len(chosen[0]) > 5
    assert chosen[0] == chosen[1]
    assert not [name for name in files[1] if "/runs/" in name]


def stored_all(remote: Path) -> dict[str, bytes]:
    files = [path for path in remote.rglob("*") if path.is_file()]
    return {str(path).removeprefix(str(remote)).lstrip("/"): path.read_bytes() for path in files}


@pytest.mark.slow
def test_a_run_in_a_bucket_that_was_cut_off_goes_on(bucket: Path, on_a_disk: Path, expected: dict[str, bytes]) -> None:
    upload(on_a_disk / "in", bucket / "in")
    with pytest.raises(KeyboardInterrupt):
        run(bucket / "in", bucket / "out", engine=interrupted_in(WriteStage, 2))
    assert run(bucket / "in", bucket / "out")["stages"]["write"]["reused"] == 2
    assert stored(bucket / "out") == expected


@pytest.mark.slow
def test_a_store_that_fails_now_and_then_changes_nothing(
    bucket: Path, server: str, on_a_disk: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(on_a_disk / "in", bucket / "in")
    faults = Faults(every=13)
    with failing_proxy(server, faults) as address:
        reach(address, monkeypatch)
        unsteady = path_of(str(bucket))
        run(unsteady / "in", unsteady / "out")
    assert min(faults.given.values()) > 0, faults.given
    reach(server, monkeypatch)
    assert stored(path_of(str(bucket)) / "out") == expected


def test_a_file_that_was_not_finished_is_not_there(bucket: Path) -> None:
    def failing() -> None:
        with atomic_file(bucket / "file") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing()
    assert list(bucket.rglob("*")) == []


def test_reading_anywhere_in_a_file_of_many_ranges(bucket: Path) -> None:
    content = random.Random(1).randbytes(3456)
    (bucket / "file").write_bytes(content)
    with opened(bucket / "file", range_bytes=1000) as file:
        assert file.read() == content
        assert file.read() == b""
        for begin, end in ((0, 10), (995, 1005), (990, 3456), (3456, 3456), (2000, 3000)):
            file.seek(begin)
            assert file.read(end - begin) == content[begin:end]
            assert file.tell() == end
        file.seek(-5, 2)
        assert file.read(100) == content[-5:]
    assert local_copy(bucket / "file").read_bytes() == content
    (bucket / "file").write_bytes(b"another")
    assert local_copy(bucket / "file").read_bytes() == b"another", "a copy of something else is not taken for it"
    assert status_of(bucket / "file").size == 7


def test_two_runs_on_one_bucket_do_not_meet(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        locked(bucket / "out"),
        pytest.raises(WorkspaceLocked, match=r"^s3://.*/out is in use by process \d+ on "),
        locked(bucket / "out"),
    ):
        pass
    assert list((bucket / "out").rglob("*")) == []
    (bucket / "out" / ".lock").write_bytes(b'{"pid": 1, "beat": 0}')
    with locked(bucket / "out"):
        pass  # nobody has said for long that they live


def test_a_bucket_keeps_the_conditions_of_a_lock(bucket: Path) -> None:
    lock = lock_object(bucket / "lock")
    first = lock.create(b"1")
    assert first is not None
    assert lock.create(b"2") is None
    assert lock.read() == (b"1", first)
    second = lock.replace(b"2", first)
    assert second is not None
    assert lock.replace(b"3", first) is None
    assert lock.heeds_versions(b"2")
    assert lock.read() == (b"2", second)
    lock.remove()
    assert lock.replace(b"3", second) is None
    with pytest.raises(FileNotFoundError):
        lock.read()


@pytest.mark.parametrize("items", [1, 6, 12])
def test_a_run_whose_lock_was_taken_writes_nothing_more(bucket: Path, tmp_path: Path, items: int) -> None:
    """It is paused after some items, and another takes the lock meanwhile."""
    left = {}

    class Paused(LocalEngine):
        done = 0

        def map(self, *arguments: Any, **more: Any) -> Generator[tuple[int, Any], None, None]:
            for answer in super().map(*arguments, **more):
                yield answer
                self.done += 1
                if self.done == items:
                    time.sleep(TRUSTED_SECONDS)
                    (bucket / "out" / LOCK_FILE).write_bytes(b'{"pid": 7, "host": "there", "token": "other"}')
                    left.update(stored_all(bucket / "out"))

    put(tmp_path, CORPUS)
    upload(tmp_path, bucket / "in")
    with (
        Paused(1) as engine,
        pytest.raises(WorkspaceLocked, match=r"^process 7 on there .* took s3://.*/out over"),
    ):
        deduplicate_on(Stages(engine), bucket / "in", bucket / "out", Config(max_bad_fraction=1.0))
    assert len(left) > items
    assert stored_all(bucket / "out") == left


def test_what_is_not_there_or_not_ours_is_named(bucket: Path, tmp_path: Path) -> None:
    with pytest.raises(InputNotFound, match=r"^no shard below s3://.*/nothing: looked for files ending in "):
        run(bucket / "nothing", tmp_path / "out")
    put(tmp_path / "in", {"c4/a.jsonl": DOCUMENTS[:2]})
    with pytest.raises(OutputError, match=r"^cannot write s3://no-such-bucket/out"):
        run(tmp_path / "in", path_of("s3://no-such-bucket/out"))
