"""Whether the measures of compression give on a GPU what they give on the CPU, for states of four precisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from slimpajama.study.compression import matrix_entropy, matrix_nuclear_norm, nuclear_norm
from slimpajama.text_table import markdown_table

__all__ = ["Agreement", "agreement_lines", "agreements", "refuse_disagreement"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a measure of states of one precision differs from the CPU's, in parts of its value, and how far it may.

    MNN is computed in float32, or float64 for states of that; the others always in float64."""

    measure: str
    states: str
    difference: float
    allowed: float


def agreements(device: torch.device) -> tuple[Agreement, ...]:
    """The measures of states on ``device`` against those of the same states in float64 on the CPU."""
    wide = torch.randn(2, 200, 300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lengths = [200, 90]
    made = []
    for measure in (matrix_nuclear_norm, nuclear_norm, matrix_entropy):
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            states = wide.to(dtype)
            expected = measure(states.double(), lengths)
            found = measure(states.to(device), lengths).cpu().double()
            difference = ((found - expected).abs() / expected.abs()).max().item()
            single = measure is matrix_nuclear_norm and dtype != torch.float64
            name = str(dtype).removeprefix("torch.")
            made.append(Agreement(measure.__name__, name, difference, 1e-5 if single else 1e-9))
    return tuple(made)


def agreement_lines(found: Sequence[Agreement]) -> list[str]:
    """As a table of Markdown: a measure in each row, a precision of the states in each column."""
    precisions = list(dict.fromkeys(one.states for one in found))
    rows = [["differs from the CPU in float64 by", *precisions]]
    for measure in dict.fromkeys(one.measure for one in found):
        rows.append([measure, *(f"{one.difference:.1g}" for one in found if one.measure == measure)])
    return ["", *markdown_table(rows)]


def refuse_disagreement(found: Sequence[Agreement]) -> None:
    """Raises ``AssertionError`` that names each measure that differs too much from the CPU's."""
    wrong = [
        f"{one.measure} of {one.states} by {one.difference:.1g} (at most {one.allowed:.0g})"
        for one in found
        if not one.difference <= one.allowed
    ]
    if wrong:
        raise AssertionError(f"measures differ from those of the CPU: {'; '.join(wrong)}")
