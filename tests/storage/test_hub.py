"""Input on the Hugging Face hub: the hub's own file system, over files that are here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfFileSystem

from slimpajama import InputNotFound, deduplicate
from tests.corpus.shards import files_below, put

REPOSITORY = "datasets/someone/corpus"
TEXTS = [f"document {number} " * 40 for number in range(30)]


@pytest.fixture
def on_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files the hub then seems to have."""
    root = put(tmp_path / "hub", {"c4/a.jsonl": TEXTS, "c4/b.jsonl.zst": TEXTS[:5], "arxiv/a.jsonl.gz": TEXTS[20:]})

    def local(path: str) -> Path:
        return root / path.removeprefix("hf://").removeprefix(REPOSITORY).lstrip("/")

    def info(self: Any, path: str, **_: Any) -> dict[str, Any]:
        if not local(path).exists():
            raise FileNotFoundError(path)
        kind = "directory" if local(path).is_dir() else "file"
        return {"name": path, "size": local(path).stat().st_size, "type": kind, "blob_id": "1"}

    def find(self: Any, path: str, **_: Any) -> dict[str, Any]:
        files = (file for file in local(path).rglob("*") if file.is_file())
        names = (f"{REPOSITORY}/{file.relative_to(root).as_posix()}" for file in files)
        return {name: info(self, name) for name in names}

    def cat_file(self: Any, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        return local(path).read_bytes()[start:end]

    for name, method in (("info", info), ("find", find), ("cat_file", cat_file)):
        monkeypatch.setattr(HfFileSystem, name, method)
    return root


def test_a_data_set_on_the_hub_is_deduplicated_as_on_a_disk(on_hub: Path, tmp_path: Path) -> None:
    summary = deduplicate(f"hf://{REPOSITORY}", tmp_path / "from-hub", workers=1)
    deduplicate(on_hub, tmp_path / "from-disk", workers=1)
    assert summary.total.read.documents == 45
    for folder in ("global", "local"):
        written = files_below(tmp_path / "from-hub" / folder)
        assert len(written) == 4  # three shards and their card
        assert written == files_below(tmp_path / "from-disk" / folder)


@pytest.mark.usefixtures("on_hub")
def test_a_folder_that_the_hub_does_not_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputNotFound, match=rf"hf://{REPOSITORY}/nowhere"):
        deduplicate(f"hf://{REPOSITORY}/nowhere", tmp_path / "out", workers=1)
