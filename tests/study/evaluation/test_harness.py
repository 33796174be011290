from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("lm_eval")

from slimpajama.study.evaluation.harness import HarnessModel
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.model.files import save_decoder
from tests.study.made_mixtures import VOCABULARY

SHAPE = DecoderConfiguration(vocabulary=VOCABULARY, width=16, layers=1, heads=2, feed_forward=40, base_width=16)


def test_the_harness_is_answered(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    vocabulary = {"<end>": 0} | {chr(ord("A") + at): at + 1 for at in range(VOCABULARY - 1)}
    Tokenizer(models.BPE(vocabulary, [])).save(str(tmp_path / "tokenizer.json"))
    model = Decoder(SHAPE, seed=1)
    save_decoder(model, tmp_path)
    asked = HarnessModel(tmp_path, tmp_path / "tokenizer.json")
    [(likelihood, greedy)] = asked.loglikelihood([SimpleNamespace(args=("AB", "C"))])
    with torch.no_grad():
        found = torch.log_softmax(model(torch.tensor([[1, 2]]))[0, -1], 0)
    assert likelihood == pytest.approx(float(found[3]), abs=1e-4)
    assert greedy == (int(found.argmax()) == 3)
    [rolling] = asked.loglikelihood_rolling([SimpleNamespace(args=("AB",))])
    assert rolling < 0
    [text] = asked.generate_until([SimpleNamespace(args=("AB", {"until": ["C"], "max_gen_toks": 5}))])
    assert "C" not in text
