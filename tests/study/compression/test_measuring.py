"""All measures of tiny models, against each text by itself through the published formulas."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers

from slimpajama.errors import ConfigError, InputError
from slimpajama.study.compression import effective_rank, matrix_entropy, matrix_nuclear_norm, nuclear_norm
from slimpajama.study.compression.hidden_states import StatesModel, open_model
from slimpajama.study.compression.measuring import LayerMeasures, MeasureRequest, measure_model
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore
from tests.study.compression.test_measured_texts import lines, mixture
from tests.study.compression.tiny_models import KINDS, WIDTH, save_model, save_tokenizer

TEXTS = {
    "long": ("the lazy dog jumps over the quick brown fox " * 4, "a dog", "no fox here, only dogs and dogs"),
    "short": ("quick brown", "lazy"),
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    save_model(request.param, folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for source, texts in TEXTS.items():
        lines(folder / f"{source}.jsonl", *texts)
    return folder


def states_alone(folder: Path, text: str, most: int) -> list[torch.Tensor]:
    """The states of one text, without padding or batches, in float64 from float32."""
    ids = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"][:, :most]
    with torch.inference_mode():
        made = transformers.AutoModel.from_pretrained(folder)(ids, output_hidden_states=True)
    return [state[0].double() for state in (*made.hidden_states[:-1], made.last_hidden_state)]


@pytest.mark.parametrize("batch_tokens", [1, 4096])
def test_each_row_is_the_mean_of_its_texts(model: Path, data: Path, batch_tokens: int) -> None:
    found = measure_model(MeasureRequest(model, (str(data),), max_tokens=40, batch_tokens=batch_tokens))
    assert (found.layers, found.width, found.max_tokens) == (2, WIDTH, 40)
    assert [(row.source, row.layer) for row in found.rows] == [(name, at) for name in TEXTS for at in range(3)]
    for row in found.rows:
        states = [states_alone(model, text, 40)[row.layer] for text in TEXTS[row.source]]
        assert (row.texts, row.tokens) == (len(states), sum(map(len, states)))
        expected = LayerMeasures(
            *(row.source, row.layer, row.texts, row.tokens),
            matrix_nuclear_norm=float(np.mean([matrix_nuclear_norm(one) for one in states])),
            nuclear_norm=float(np.mean([nuclear_norm(one) / len(one) for one in states])),
            matrix_entropy=float(np.mean([matrix_entropy(one) for one in states])),
            effective_rank=math.exp(np.mean([math.log(effective_rank(one)) for one in states])),
            diff_effective_rank=None,
        )
        got, wanted = dataclasses.asdict(row), dataclasses.asdict(expected)
        for name in ("matrix_nuclear_norm", "nuclear_norm", "matrix_entropy", "effective_rank"):
            assert got.pop(name) == pytest.approx(wanted.pop(name), rel=1e-4), name
        assert got == wanted


def test_texts_are_cut_to_what_a_model_can_take(data: Path, tmp_path: Path) -> None:
    save_model("gpt2", tmp_path)
    save_tokenizer(tmp_path)
    found = measure_model(MeasureRequest(tmp_path, (str(data / "long.jsonl"),), texts=1, layers=(-1,)))
    assert (found.max_tokens, found.rows[0].tokens, found.rows[0].layer) == (48, 48, 2)


def test_as_many_sequences_are_measured_as_asked_for_where_the_model_takes_short_ones(
    store: TokenStore, tmp_path: Path
) -> None:
    configuration = transformers.GPT2Config(vocab_size=700, n_embd=WIDTH, n_layer=1, n_head=2, n_positions=16)
    transformers.GPT2Model(configuration).save_pretrained(tmp_path)
    held_out = min(store.stream(source, "validation", Selection("global")).tokens for source in ("s0", "s1"))
    wanted = held_out // 16
    assert wanted > held_out // 64
    for data in (store.path, mixture(store.path.parent / "long", store.fingerprint, 64)):
        request = MeasureRequest(tmp_path, (str(data),), texts=wanted, layers=(0,), tokenizer=store.path)
        found = measure_model(request)
        assert (found.max_tokens, found.model_max_tokens) == (16, 16)
        assert [(row.source, row.texts, row.tokens) for row in found.rows] == [
            (source, wanted, wanted * 16) for source in ("s0", "s1")
        ]


def test_diff_effective_rank_compares_with_the_model_that_the_seed_draws(model: Path, data: Path) -> None:
    request = MeasureRequest(model, (str(data),), untrained_seed=3)
    trained = measure_model(request)
    untrained_folder = data.parent / f"untrained-{model.name}"
    opened = open_model(model, CPU, torch.float32).untrained(3)
    opened._model.save_pretrained(untrained_folder)  # type: ignore[attr-defined]
    save_tokenizer(untrained_folder)
    untrained = measure_model(dataclasses.replace(request, model=untrained_folder, untrained_seed=None))
    for row, other in zip(trained.rows, untrained.rows, strict=True):
        assert row.diff_effective_rank == pytest.approx(other.effective_rank - row.effective_rank, abs=1e-4)
    itself = measure_model(dataclasses.replace(request, model=untrained_folder))
    assert [row.diff_effective_rank for row in itself.rows] == pytest.approx([0.0] * len(itself.rows), abs=1e-4)


def test_a_model_of_the_same_tokenizer_takes_the_sequences_of_a_store_as_they_are(
    store: TokenStore, tmp_path: Path
) -> None:
    save_model("llama", tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((store.path / "tokenizer.json").read_bytes())
    rows = measure_model(MeasureRequest(tmp_path, (str(store.path),), texts=2, max_tokens=16, layers=(0,))).rows
    assert [(row.source, row.texts, row.tokens) for row in rows] == [("s0", 2, 32), ("s1", 2, 32)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_without_a_tokenizer_is_refused_and_takes_the_one_that_is_given(
    kind: str, store: TokenStore, data: Path, tmp_path: Path
) -> None:
    folder = save_model(kind, tmp_path / "model")
    of_mixture = mixture(store.path.parent / f"dc-{kind}", store.fingerprint, 24)
    for given in (store.path, of_mixture, data):
        request = MeasureRequest(folder, (str(given),), texts=2, max_tokens=16, layers=(0,))
        with pytest.raises(ConfigError, match=r"model has no tokenizer that Transformers opens.*; give --tokenizer$"):
            measure_model(request)
    (folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="has no tokenizer that Transformers opens"):
        measure_model(MeasureRequest(folder, (str(data),)))
    of_store = MeasureRequest(folder, (str(store.path),), texts=2, max_tokens=16, layers=(0,), tokenizer=store.path)
    (folder / "tokenizer.json").write_bytes((store.path / "tokenizer.json").read_bytes())
    assert measure_model(of_store) == measure_model(dataclasses.replace(of_store, tokenizer=None))


def test_a_tokenizer_of_another_form_than_tokenizer_json_reads_their_text(store: TokenStore, tmp_path: Path) -> None:
    folder = save_model("gpt2", tmp_path)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    (folder / "vocab.json").write_text(
        json.dumps({letter: at for at, letter in enumerate(["<|endoftext|>", *letters])})
    )
    (folder / "merges.txt").write_text("#version: 0.2\n")
    rows = measure_model(MeasureRequest(folder, (str(store.path),), texts=2, max_tokens=16, layers=(0,))).rows
    save_model("gpt2", tmp_path / "other")
    as_they_are = MeasureRequest(
        tmp_path / "other", (str(store.path),), texts=2, max_tokens=16, layers=(0,), tokenizer=store.path
    )
    assert [row.texts for row in rows] == [2, 2]
    assert rows != measure_model(as_they_are).rows, "ids of the store would mean other letters"


def test_a_model_of_another_tokenizer_reads_their_text(store: TokenStore, model: Path) -> None:
    rows = measure_model(MeasureRequest(model, (str(store.path),), texts=2, max_tokens=16, layers=(0,))).rows
    assert [(row.source, row.texts, row.tokens) for row in rows] == [("s0", 2, 32), ("s1", 2, 32)]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_model_in_half_precision_is_close(model: Path, data: Path, dtype: str) -> None:
    request = MeasureRequest(model, (str(data),))
    whole, half = measure_model(request), measure_model(dataclasses.replace(request, dtype=dtype))
    for row, other in zip(whole.rows, half.rows, strict=True):
        assert other.matrix_nuclear_norm == pytest.approx(row.matrix_nuclear_norm, rel=0.02)
        assert other.effective_rank == pytest.approx(row.effective_rank, rel=0.1)


def test_texts_without_a_measure_are_left_out_and_told(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_model("llama", tmp_path / "model")
    save_tokenizer(tmp_path / "model")
    path = lines(tmp_path / "odd.jsonl", "\t\t\t\t", "", "the quick fox", "x")
    with caplog.at_level(logging.WARNING, "slimpajama"):
        rows = measure_model(MeasureRequest(tmp_path / "model", (str(path),), texts=9, layers=(0, 2))).rows
    assert "odd: 2 texts of fewer than two tokens left out" in caplog.text
    assert "odd, layer 0: 1 text left out, in which a token has the mean state of its text" in caplog.text
    assert rows[0].texts == 1, "rotary positions do not show in the embeddings of four equal tokens"


def test_where_no_text_can_be_measured_is_an_error(tmp_path: Path) -> None:
    save_model("llama", tmp_path / "model")
    save_tokenizer(tmp_path / "model")
    path = lines(tmp_path / "odd.jsonl", "\t\t\t\t")
    with pytest.raises(InputError, match=r"no text of odd could be measured in these layers.*--layers without 0"):
        measure_model(MeasureRequest(tmp_path / "model", (str(path),), layers=(0,)))


def test_layers_are_chosen_by_number_from_either_end(model: Path, data: Path) -> None:
    request = MeasureRequest(model, (str(data),), layers=(-1, 0, 2))
    assert [row.layer for row in measure_model(request).rows] == [0, 2, 0, 2]
    for layer in (3, -4):
        with pytest.raises(ConfigError, match=rf"there is no layer {layer}; the model has layers 0, its emb.* to 2"):
            measure_model(dataclasses.replace(request, layers=(layer,)))


def opened(folder: Path) -> StatesModel:
    return open_model(folder, CPU, torch.float32)


def test_what_is_no_whole_model_is_refused(tmp_path: Path, data: Path) -> None:
    with pytest.raises(
        InputError, match=r"absent does not exist; give a folder below runs/ of a study, or one that save_pre"
    ):
        opened(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no model"):
        opened(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="Transformers cannot open the model in"):
        opened(tmp_path)
    folder = save_model("llama", tmp_path / "llama")
    with pytest.raises(ConfigError, match=r"has no tokenizer that Transformers opens, so .*; give --tokenizer"):
        measure_model(MeasureRequest(folder, (str(data),)))
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 weight\(s\) of its model, (model\.)?layers.1.mlp.up_proj"):
        opened(folder)
    for content in (b"", b"no tensors", (folder / "model.safetensors").read_bytes()[:1000]):
        (folder / "model.safetensors").write_bytes(content)
        with pytest.raises(InputError, match=r"Transformers cannot open the model in .*; save it again there"):
            opened(folder)
    (folder / "model.safetensors").unlink()
    for content in (b"", b"no tensors", b"\x80\x02"):
        (folder / "pytorch_model.bin").write_bytes(content)
        with pytest.raises(InputError, match=r"Transformers cannot open the model in .*; save it again there"):
            opened(folder)


def test_a_tokenizer_of_more_tokens_than_the_model_has_is_refused(tmp_path: Path, data: Path) -> None:
    folder = save_model("gpt2", tmp_path / "model")
    configuration = transformers.GPT2Config(vocab_size=50, n_embd=WIDTH, n_layer=1, n_head=2, eos_token_id=0)
    transformers.GPT2Model(configuration).save_pretrained(folder)
    save_tokenizer(folder)
    with pytest.raises(ConfigError, match=r"the tokenizer gives the id \d+, and the model has a vocabulary of 50"):
        measure_model(MeasureRequest(folder, (str(data),)))


def test_a_model_with_a_decoder_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5", "is_encoder_decoder": True}))
    with pytest.raises(ConfigError, match="an encoder and a decoder"):
        opened(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PyTorch finds no GPU here; give --device cpu"):
        measure_model(MeasureRequest(tmp_path, (str(data),), device="cuda"))
