import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from slimpajama.errors import InputError
from slimpajama.study.evaluation.held_out import held_out_losses, read_held_out
from slimpajama.study.evaluation.token_bytes import token_bytes
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from tests.study.made_mixtures import END, LENGTH, VOCABULARY, made_output, sequences

SHAPE = DecoderConfiguration(vocabulary=VOCABULARY, width=16, layers=1, heads=2, feed_forward=40, base_width=16)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_output(tmp_path_factory.mktemp("mixtures"))


def test_losses_are_those_of_one_token_at_a_time(output: Path) -> None:
    model = Decoder(SHAPE, seed=1)
    texts = read_held_out(
        output / "holdout", output / "tokens/tokenizer.json", split="validation", window=16, most_tokens=10_000
    )
    found = {loss.source: loss for loss in held_out_losses(model, texts)}
    assert list(found) == ["letters", "numbers"]
    rows = torch.from_numpy(sequences("letters", 6, 900))
    nats = 0.0
    with torch.no_grad():
        for row in rows:
            for begin in (0, 16):
                logits = model(row[None, begin : begin + 16])[0]
                labels = row[begin + 1 : begin + 17]
                nats += float(functional.cross_entropy(logits[: len(labels)], labels, reduction="sum"))
    letters = found["letters"]
    assert letters.tokens == 6 * (LENGTH - 1) == letters.bytes
    assert letters.nats == pytest.approx(nats, rel=1e-5)
    assert letters.nats_per_token == pytest.approx(nats / letters.tokens, rel=1e-5)
    assert letters.bits_per_byte == pytest.approx(nats / letters.tokens / math.log(2), rel=1e-5)


def test_no_more_is_read_than_asked_for(output: Path) -> None:
    texts = read_held_out(
        output / "holdout", output / "tokens/tokenizer.json", split="validation", window=16, most_tokens=2 * LENGTH
    )
    assert [text.windows.tokens.shape for text in texts] == [(4, 16), (4, 16)]


def test_a_split_that_is_not_there_is_named(output: Path) -> None:
    with pytest.raises(InputError, match="no Parquet file of test"):
        read_held_out(output / "holdout", output / "tokens/tokenizer.json", split="test", window=16, most_tokens=100)


def test_bytes_of_byte_level_tokens_and_of_others(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    vocabulary = {"<end>": END, "Ġthe": 1, "Ã©": 2, "▁é": 3, "<0x41>": 4}
    content = {"added_tokens": [{"id": END, "special": True}], "model": {"type": "BPE", "vocab": vocabulary}}
    file.write_text(json.dumps({**content, "decoder": {"type": "ByteLevel"}}))
    assert token_bytes(file, 6).tolist() == [0, 4, 2, 2, 6, 0]
    file.write_text(json.dumps(content))
    assert token_bytes(file, 6).tolist() == [0, 5, 4, 3, 1, 0]


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        token_bytes(tmp_path / "tokenizer.json", 5)
