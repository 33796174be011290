"""Decoders of the study, measured from their own folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from slimpajama.errors import ConfigError
from slimpajama.study.compression import effective_rank, matrix_nuclear_norm
from slimpajama.study.compression.measuring import MeasureRequest, measure_model
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.model.files import load_decoder, save_decoder
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore
from tests.study.compression.test_measured_texts import lines


def saved(folder: Path, vocabulary: int) -> Path:
    shape = DecoderConfiguration(vocabulary, width=16, layers=2, heads=2, feed_forward=24, context=16, base_width=16)
    save_decoder(Decoder(shape, seed=4), folder)
    return folder


def test_a_decoder_reads_the_sequences_of_its_store(store: TokenStore, tmp_path: Path) -> None:
    folder = saved(tmp_path, store.vocabulary)
    found = measure_model(MeasureRequest(folder, (str(store.path),), texts=2, max_tokens=16))
    assert (found.layers, found.width) == (2, 16)
    assert [(row.source, row.layer) for row in found.rows] == [(name, at) for name in ("s0", "s1") for at in range(3)]
    tokens = store.stream("s0", "validation", Selection("global")).read(0, 32, 0)[0].astype("int64").reshape(2, 16)
    with torch.inference_mode():
        states = load_decoder(folder).hidden_states(torch.from_numpy(tokens))
    for row, layer in zip(found.rows, states, strict=False):
        assert row.matrix_nuclear_norm == pytest.approx(matrix_nuclear_norm(layer).mean().item(), rel=1e-5)
        assert row.effective_rank == pytest.approx(effective_rank(layer).log().mean().exp().item(), rel=1e-5)


def test_it_is_its_own_untrained_model_where_the_seed_is_the_same(store: TokenStore, tmp_path: Path) -> None:
    request = MeasureRequest(saved(tmp_path, store.vocabulary), (str(store.path),), texts=2, max_tokens=16)
    for seed, same in ((4, True), (5, False)):
        rows = measure_model(
            MeasureRequest(request.model, request.data, texts=2, max_tokens=16, untrained_seed=seed)
        ).rows
        assert all((row.diff_effective_rank == pytest.approx(0, abs=1e-6)) == same for row in rows)


def test_texts_need_the_tokenizer_of_the_store(store: TokenStore, tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", store.vocabulary)
    path = str(lines(tmp_path / "a.jsonl", "ta ke mi no su ra", "über 42"))
    with pytest.raises(ConfigError, match="a model of the study brings no tokenizer; give --tokenizer"):
        measure_model(MeasureRequest(folder, (path,)))
    for tokenizer in (store.path, store.path / "tokenizer.json"):
        rows = measure_model(MeasureRequest(folder, (path,), tokenizer=tokenizer)).rows
        assert [(row.source, row.texts) for row in rows] == [("a", 2)] * 3


def test_a_store_of_a_larger_vocabulary_is_refused(store: TokenStore, tmp_path: Path) -> None:
    folder = saved(tmp_path, 40)
    with pytest.raises(ConfigError, match=r"the token store has a vocabulary of \d+ and the model one of 40"):
        measure_model(MeasureRequest(folder, (str(store.path),), texts=2, max_tokens=16))
