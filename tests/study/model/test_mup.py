from dataclasses import replace

import torch

from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.mup import coordinate_check, growth

WIDTHS = (32, 64, 128)
SHAPE = DecoderConfiguration(vocabulary=64, width=32, layers=2, heads=2, feed_forward=80, base_width=32)
TOKENS = torch.randint(0, 64, (4, 32), generator=torch.Generator().manual_seed(1))


def test_growth_is_the_power_of_the_width() -> None:
    assert abs(growth((1, 2, 4), (3.0, 6.0, 12.0)) - 1) < 1e-12
    assert abs(growth((1, 2, 4), (3.0, 3.0, 3.0))) < 1e-12


def test_what_training_changes_is_flat_in_width_with_mup() -> None:
    changes = coordinate_check(SHAPE, WIDTHS, TOKENS)
    assert abs(growth(WIDTHS, [change.hidden for change in changes])) < 0.25
    assert abs(growth(WIDTHS, [change.logits for change in changes])) < 0.35


def test_and_grows_where_each_width_is_its_own_base() -> None:
    changes = [coordinate_check(replace(SHAPE, base_width=width), [width], TOKENS)[0] for width in WIDTHS]
    assert growth(WIDTHS, [change.logits for change in changes]) > 0.4
