"""Results that other input replaces are told of before, with what changed; ``keep`` refuses and changes nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from slimpajama import Config, ConfigError, OutputError, Recipe, deduplicate, mix
from slimpajama.config.tokens import TokenConfig
from slimpajama.corpus.bundles import BundleLimits
from slimpajama.dedup.dedup_run import WorkSizes
from slimpajama.engine.local import LocalEngine
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.stages.runner import Stages
from tests.corpus.shards import files_below, put

TEXTS = [" ".join(f"{number * 7919 + word * 104_729:x}" for word in range(80)) for number in range(30)]
SHARDS = {"c4/a.jsonl": TEXTS[:4], "c4/b.jsonl.zst": TEXTS[4:8], "c4/c.jsonl": TEXTS[8:12]}


def add(source: Path) -> None:
    put(source, {"c4/d.jsonl": TEXTS[12:14], "c4/e.jsonl": TEXTS[14:16]})


def touch(source: Path) -> None:
    os.utime(source / "c4" / "a.jsonl", ns=(1, 1))


def exchange(source: Path) -> None:
    put(source, {"c4/b.jsonl.zst": TEXTS[20:22]})
    (source / "c4" / "a.jsonl").unlink()


@pytest.mark.parametrize(
    ("change", "said"), [(add, "2 added"), (touch, "1 changed"), (exchange, "1 changed, 1 removed")]
)
@pytest.mark.parametrize("small_bytes", [0, 1 << 20], ids=["shard by shard", "in bundles"])
def test_changed_shards_are_counted(
    tmp_path: Path,
    change: Callable[[Path], None],
    said: str,
    small_bytes: int,
    caplog: pytest.LogCaptureFixture,
) -> None:

    source, out = put(tmp_path / "in", SHARDS), tmp_path / "out"
    sizes = WorkSizes(bundles=BundleLimits(small_bytes=small_bytes, fewest=1))

    def run(keep: bool = False) -> None:
        with LocalEngine(1) as engine:
            deduplicate_on(Stages(engine), source, out, Config(workers=1), keep=keep, sizes=sizes)

    run()
    change(source)
    before = files_below(out)
    sentence = f"{out} holds a finished deduplication that would be replaced (shards of the input: {said})"
    with pytest.raises(OutputError) as refused:
        run(keep=True)
    assert str(refused.value) == f"{sentence}; choose another output, or do not ask to keep it (--keep)"
    after = files_below(out)
    assert [path for path in {**before, **after} if before.get(path) != after.get(path)] == []
    with caplog.at_level(logging.WARNING, "slimpajama"):
        run()
    assert sentence.replace("would", "will") in caplog.messages
    caplog.clear()
    run(keep=True)
    assert not any("replaced" in message for message in caplog.messages)


def test_a_token_store_of_other_shards_is_told_of_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, out, mixed = put(tmp_path / "in", SHARDS), tmp_path / "out", tmp_path / "mixed"
    recipe = Recipe(name="one", weights={"c4": 100}, tokens=1000, sequence_length=64, max_epochs=100)
    tokens = TokenConfig(holdout=0.1)
    deduplicate(source, out, workers=1, scope="none")
    with pytest.raises(ConfigError, match="lies inside the input of the deduplication, of which texts are read"):
        mix(out, source / "mixed", [recipe], config=tokens, workers=1)
    assert not (source / "mixed").exists()
    mix(out, mixed, [recipe], config=tokens, workers=1, keep=True)
    store = (mixed / "one" / "manifest.json").read_bytes()
    mix(out, mixed, [recipe], config=tokens, workers=1, keep=True)
    deduplicate(source, out, workers=1, scope="both", keep=True)
    sentence = (
        f"{mixed / 'tokens'} is a finished token store that would be replaced ({out} holds other decisions or shards "
        "than it was made of)"
    )
    with pytest.raises(OutputError) as refused:
        mix(out, mixed, [recipe], config=tokens, workers=1, keep=True)
    assert str(refused.value).startswith(sentence)
    assert (mixed / "one" / "manifest.json").read_bytes() == store
    with caplog.at_level(logging.WARNING, "slimpajama"):
        mix(out, mixed, [recipe], config=tokens, workers=1)
    assert sentence.replace("would", "will") in caplog.messages
