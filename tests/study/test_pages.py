"""The examples of the pages on caches and on compression run, on small models in the folders that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import transformers

from slimpajama.study.kvcache.transformers_cache import cache_argument
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.model.files import save_decoder
from tests.study.compression.tiny_models import save_tokenizer

DOCS = Path(__file__).parents[2] / "docs"
VOCABULARY = 280


def blocks(page: str) -> list[str]:
    """The examples in Python of a page."""
    found = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found


def run(page: str, block: str) -> dict[str, object]:
    """The names that an example leaves, which begins with none."""
    names: dict[str, object] = {"__name__": "page"}
    exec(compile(block, f"docs/{page}", "exec"), names)  # noqa: S102
    return names


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model of Transformers, a run of a study and the tokenizer of its store."""
    monkeypatch.chdir(tmp_path)
    published, study, store = (
        Path("models/pythia-410m"),
        Path("out/study/runs/dc-6-tiny-seed1"),
        Path("out/mixtures/tokens"),
    )
    for folder in (published, study, store):
        folder.mkdir(parents=True)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    configuration = transformers.GPTNeoXConfig(
        vocab_size=VOCABULARY, max_position_embeddings=256, bos_token_id=0, eos_token_id=0, pad_token_id=0, **shape
    )
    torch.manual_seed(1)
    transformers.GPTNeoXForCausalLM(configuration).save_pretrained(published)
    save_tokenizer(published)
    (store / "tokenizer.json").write_bytes((published / "tokenizer.json").read_bytes())
    decoder = DecoderConfiguration(VOCABULARY, width=16, layers=2, heads=2, feed_forward=24, context=16, base_width=16)
    save_decoder(Decoder(decoder, seed=4), study)
    return tmp_path


def test_the_examples_of_caches(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_transformers, of_the_study = blocks("kvcache.md")
    if cache_argument(transformers.AutoModelForCausalLM.from_pretrained("models/pythia-410m")) == "past_key_values":
        of_transformers = of_transformers.replace("cache=cache", "past_key_values=cache")  # as the page says
    assert run("kvcache.md", of_transformers)["cache"].tokens > 10  # type: ignore[attr-defined]
    assert "keys_and_values=" in capsys.readouterr().out
    names = run("kvcache.md", of_the_study)
    assert [names[name].shape for name in ("greedy", "drawn", "best")] == [(1, 100)] * 3  # type: ignore[attr-defined]


def test_the_examples_of_compression() -> None:
    for block in blocks("compression.md"):
        assert "states" in run("compression.md", block)
