"""A model of the study as one of lm-evaluation-harness (``pip install lm_eval``), for all the tasks that it knows.

::

    import lm_eval
    from slimpajama.study.evaluation.harness import HarnessModel

    lm_eval.simple_evaluate(model=HarnessModel("out/study/runs/dc-6-tiny-seed1", "out/mixtures/tokens/tokenizer.json"),
                            tasks=["arc_easy", "piqa"])

This module can be imported only where lm_eval is installed. It answers requests one at a time, which is enough for
models of this size. ``tests/study/evaluation/test_harness.py`` runs it where lm_eval is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lm_eval.api.model import LM

from slimpajama.study.evaluation.multiple_choice import continuation_loss
from slimpajama.study.model.files import load_decoder

__all__ = ["HarnessModel"]


class HarnessModel(LM):
    """The model in ``folder`` with a ``tokenizer.json``, in the three ways in which the harness asks."""

    def __init__(self, folder: str | Path, tokenizer: str | Path, *, end_of_text: int = 0, device: str = "cpu") -> None:
        super().__init__()
        from tokenizers import Tokenizer

        self._model = load_decoder(folder, device)
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._end = end_of_text
        self._where = device

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """The log-likelihood of each continuation after its context, and whether it is what greedy decoding gives."""
        found = []
        for context, continuation in (request.args for request in requests):
            ids = self.tokens(context) or [self._end]
            nats, greedy = continuation_loss(self._model, ids, self.tokens(continuation), self._where)
            found.append((-nats, greedy))
        return found

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """The log-likelihood of each whole text, after an end of text; ALiBi sets no limit to its length."""
        return [
            -continuation_loss(self._model, [self._end], self.tokens(request.args[0]), self._where)[0]
            for request in requests
        ]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Greedy continuations, up to one of the stop words or ``max_gen_toks`` (256) tokens."""
        return [self._continued(*request.args) for request in requests]

    def _continued(self, context: str, options: dict[str, Any]) -> str:
        stops = options.get("until") or []
        stops = [stops] if isinstance(stops, str) else stops
        ids = self.tokens(context) or [self._end]
        begin = len(ids)
        with torch.no_grad():
            for _ in range(int(options.get("max_gen_toks", 256))):
                hidden = self._model.hidden(torch.tensor([ids], device=self._where))
                ids.append(int(self._model.logits(hidden[0, -1]).argmax()))
                text: str = self._tokenizer.decode(ids[begin:])
                if ids[-1] == self._end or any(stop in text for stop in stops):
                    break
        text = self._tokenizer.decode(ids[begin:])
        return min((text.partition(stop)[0] for stop in stops), key=len, default=text)

    def tokens(self, text: str) -> list[int]:
        """The tokens of ``text``, as the model is given them."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids
