from __future__ import annotations

from pathlib import Path

from slimpajama.dedup.files.spilled_texts import SpillWriter, spilled_texts
from slimpajama.storage.atomic import atomic_file

TEXTS = [
    (0, True, 4, "käse"),
    (1, False, 5, "bread"),
    (0, False, 6, ""),
    (0, True, 7, "wine\n"),
    (1, True, 8, "x" * 99),
]


def found(path: Path, share: int, is_candidate: bool) -> dict[int, str]:
    blobs = spilled_texts([path], share, is_candidate)
    return {one: text for ids, texts in blobs for one, text in zip(ids.tolist(), texts, strict=True)}


def test_each_share_and_role_gets_its_texts(tmp_path: Path) -> None:
    path = tmp_path / "texts.arrow"
    for blob_bytes in (1, 1 << 20):  # a blob for each text, and one for all
        with atomic_file(path) as file:
            writer = SpillWriter(file, blob_bytes)
            for share, is_candidate, document, text in TEXTS:
                writer.append(share, is_candidate, document, text.encode())
            writer.close()
        assert found(path, 0, True) == {4: "käse", 7: "wine\n"}
        assert found(path, 0, False) == {6: ""}
        assert found(path, 1, True) == {8: "x" * 99}
        assert found(path, 1, False) == {5: "bread"}
        assert found(path, 2, True) == {}
