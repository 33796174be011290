"""Every preset runs, by its own shingles: equal and nearly equal documents go, others stay."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from slimpajama import Config, ConfigError, deduplicate
from slimpajama.config.dedup_presets import DEDUP_PRESETS
from slimpajama.config.shingle import ShingleConfig
from tests.corpus.shards import put, records_of

WORDS = random.Random(1).choices([f"word{n}" for n in range(40)], k=600)
FIRST = " ".join(WORDS)
NEARLY = " ".join([*WORDS[:300], "changed", *WORDS[301:]])
OTHER = " ".join(random.Random(2).choices([f"{n}other" for n in range(40)], k=600))
CHINESE = "".join(map(chr, random.Random(3).choices(range(0x4E00, 0x9FA5), k=500)))
DOCUMENTS = [FIRST, OTHER, NEARLY, FIRST, CHINESE, CHINESE + "。"]


@pytest.mark.parametrize("name", DEDUP_PRESETS)
def test_equal_and_nearly_equal_documents_go_and_others_stay(name: str, tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": DOCUMENTS})
    summary = deduplicate(source, tmp_path / "out", workers=1, preset=name)
    kept = [record["text"] for record in records_of(tmp_path / "out/global/c4/a.jsonl.zst")]
    assert kept == [FIRST, OTHER, CHINESE]
    assert summary.settings == Config.model_validate({"preset": name, "workers": 1})


def test_runs_of_other_shingles_cannot_be_compared(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": DOCUMENTS})
    deduplicate(source, tmp_path / "old", workers=1, preset="fineweb")
    shingle = ShingleConfig(unit="word", length=6)
    wanted = Config(preset="fineweb", shingle=shingle, against=str(tmp_path / "old"), workers=1)
    with pytest.raises(ConfigError, match=r"^shingle_length is 6, but .* was made with 5: keys can only be compared"):
        deduplicate(source, tmp_path / "new", wanted)
