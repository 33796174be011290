"""The measures against published formulas, test vectors, bounds and each other, in NumPy and in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from slimpajama.errors import ConfigError, InputError
from slimpajama.study.compression import (
    diff_effective_rank,
    effective_rank,
    matrix_entropy,
    matrix_nuclear_norm,
    nuclear_norm,
)
from slimpajama.study.compression.torch_measures import all_measures
from tests.study.compression.made_states import CASES, Case

MEASURES: tuple[Callable[..., Any], ...] = (matrix_nuclear_norm, nuclear_norm, matrix_entropy, effective_rank)
KINDS: tuple[Callable[[NDArray[np.float64]], Any], ...] = (np.asarray, torch.from_numpy)


def gaussian(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(shape)


shapes = st.tuples(st.integers(2, 12), st.integers(2, 12), st.integers(0, 10_000))


def published(states: NDArray[np.float64]) -> tuple[float, float]:
    """Matrix Nuclear-Norm and entropy as the paper writes them down, one number at a time."""
    tokens, width = states.shape
    mean = [sum(states[i, j] for i in range(tokens)) / tokens for j in range(width)]
    rows = [[states[i, j] - mean[j] for j in range(width)] for i in range(tokens)]
    z = [[value / math.sqrt(sum(one * one for one in row)) for value in row] for row in rows]
    lengths = sorted((math.sqrt(sum(row[j] ** 2 for row in z)) for j in range(width)), reverse=True)
    covariance = np.array([[sum(row[a] * row[b] for row in z) / tokens for b in range(width)] for a in range(width)])
    shares = np.linalg.svd(covariance / np.trace(covariance), compute_uv=False).tolist()
    entropy = -sum(share * math.log(share) for share in shares if share > 0)
    return sum(lengths[: min(tokens, width)]) / tokens, entropy / math.log(width)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_test_vectors_are_met_to_twelve_digits(case: Case, kind: Callable[..., Any]) -> None:
    states = kind(case.states)
    assert float(matrix_nuclear_norm(states)) == pytest.approx(case.mnn, rel=0, abs=1e-12)
    assert float(nuclear_norm(states)) == pytest.approx(case.nuclear_norm, rel=0, abs=1e-12)
    assert float(matrix_entropy(states)) == pytest.approx(case.matrix_entropy, rel=0, abs=1e-12)
    assert float(effective_rank(states)) == pytest.approx(math.exp(case.entropy_nats), rel=0, abs=1e-12)


@given(shapes)
def test_they_are_what_the_paper_writes_down(shape: tuple[int, int, int]) -> None:
    states = gaussian(*shape[:2], seed=shape[2])
    assert (float(matrix_nuclear_norm(states)), float(matrix_entropy(states))) == pytest.approx(published(states))


@given(shapes)
def test_numpy_and_pytorch_agree(shape: tuple[int, int, int]) -> None:
    states = gaussian(*shape[:2], seed=shape[2])
    for measure in MEASURES:
        assert float(measure(torch.from_numpy(states))) == pytest.approx(float(measure(states)), abs=1e-11)


@given(st.lists(st.integers(2, 9), min_size=1, max_size=4), st.integers(2, 9), st.booleans())
def test_a_padded_batch_gives_what_each_text_gives_alone(lengths: list[int], width: int, in_torch: bool) -> None:
    kind = KINDS[in_torch]
    batch = gaussian(len(lengths), max(lengths), width, seed=width)
    for number, length in enumerate(lengths):
        batch[number, length:] = np.nan  # what lies in the padding does not matter
    for measure in MEASURES:
        alone = [float(measure(kind(batch[number, :length].copy()))) for number, length in enumerate(lengths)]
        assert measure(kind(batch), lengths).tolist() == pytest.approx(alone, abs=1e-11)


@given(shapes)
def test_bounds(shape: tuple[int, int, int]) -> None:
    tokens, width, seed = shape
    states = gaussian(tokens, width, seed=seed)
    mnn, exact = float(matrix_nuclear_norm(states)), float(nuclear_norm(states))
    assert 0 < mnn <= min(1.0, math.sqrt(width / tokens)) + 1e-12
    if tokens >= width:  # all columns are added up
        assert mnn * tokens >= exact - 1e-9
    assert math.sqrt(tokens) - 1e-9 <= exact <= math.sqrt(tokens * min(tokens, width)) + 1e-9
    assert 1 - 1e-9 <= float(effective_rank(states)) <= min(tokens, width) + 1e-9
    assert -1e-12 <= float(matrix_entropy(states)) <= 1 + 1e-12


def test_every_measure_but_the_matrix_nuclear_norm_is_the_same_in_another_basis() -> None:
    states = gaussian(20, 8)
    rotation = np.linalg.qr(gaussian(8, 8, seed=1))[0]
    for measure in (nuclear_norm, matrix_entropy, effective_rank):
        assert float(measure(states @ rotation)) == pytest.approx(float(measure(states)), abs=1e-12)
    flat = np.outer([1.0, -2.0, 3.0, -4.0], [1.0, 0.0, 0.0, 0.0])  # one direction, along an axis
    turned = flat @ np.linalg.qr(np.eye(4) + np.ones((4, 4)))[0]
    assert float(matrix_nuclear_norm(flat)) == pytest.approx(0.5)
    assert float(matrix_nuclear_norm(turned)) > 0.8


def test_all_are_the_same_when_states_are_moved_scaled_or_put_in_another_order() -> None:
    states = gaussian(9, 5)
    for other in (3 * states, states + gaussian(5, seed=3), states[::-1], states[:, ::-1]):
        for measure in MEASURES:
            assert float(measure(other)) == pytest.approx(float(measure(states)), abs=1e-12)


def test_states_of_one_direction_have_rank_one_and_no_entropy() -> None:
    states = np.outer([1.0, -2.0, 5.0], [0.5, 0.25, -1.0, 2.0])
    for kind in KINDS:
        assert float(effective_rank(kind(states))) == pytest.approx(1, abs=1e-12)
        assert float(matrix_entropy(kind(states))) == pytest.approx(0, abs=1e-12)
        assert float(nuclear_norm(kind(states))) == pytest.approx(math.sqrt(3), abs=1e-12)


def test_two_tokens_are_opposite_rows() -> None:
    states = np.array([[1.0, 5.0, 2.0], [4.0, 1.0, 2.0]])  # rows of Z: (-0.6, 0.8, 0) and the opposite
    assert float(matrix_nuclear_norm(states)) == pytest.approx((0.8 + 0.6) * math.sqrt(2) / 2)
    assert float(effective_rank(states)) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_columns_that_are_added_up_are_a_parameter(kind: Callable[..., Any]) -> None:
    states = kind(np.array([[1.0, 5.0, 2.0], [4.0, 1.0, 2.0]]))
    assert float(matrix_nuclear_norm(states, columns=1)) == pytest.approx(0.8 * math.sqrt(2) / 2)
    for columns in (0, 3):
        with pytest.raises(ConfigError, match=rf"columns is {columns}, and the smaller of tokens and width is 2; give"):
            matrix_nuclear_norm(states, columns=columns)


@pytest.mark.parametrize(("tokens", "width"), [(64, 512), (256, 512), (512, 512), (1024, 512), (512, 128)])
def test_noise_has_a_matrix_nuclear_norm_that_follows_the_shape_alone(tokens: int, width: int) -> None:
    expected = math.sqrt(min(tokens / width, width / tokens))
    found = float(matrix_nuclear_norm(gaussian(tokens, width)))
    assert expected * 0.999 <= found <= expected * 1.2  # above it where the longest columns are chosen


def test_entropy_does_not_follow_the_frobenius_norm() -> None:
    """Theorem 1 of the paper says so; rows of Z have length 1, so that the Frobenius norm says nothing."""
    one, other = gaussian(30, 4), np.outer(gaussian(30), gaussian(4, seed=2))
    assert float(matrix_entropy(one)) > 0.9
    assert float(matrix_entropy(other)) < 1e-9


def test_diff_effective_rank_is_of_the_mean_entropy() -> None:
    untrained, trained = gaussian(2, 20, 6), gaussian(2, 20, 6, seed=1) * np.array([9, 1, 1, 0.1, 0.1, 0.1])
    lengths = [20, 11]
    before, after = (effective_rank(states, lengths) for states in (untrained, trained))
    expected = math.sqrt(before[0] * before[1]) - math.sqrt(after[0] * after[1])
    assert expected > 1
    for kind in KINDS:
        assert diff_effective_rank(kind(untrained), kind(trained), lengths) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precision_is_widened(dtype: torch.dtype) -> None:
    states = torch.from_numpy(gaussian(40, 24)).to(dtype)
    for measure in MEASURES:
        found = measure(states)
        assert found.dtype in (torch.float32, torch.float64)
        assert float(found) == pytest.approx(float(measure(states.double())), rel=1e-6)
        assert float(measure(states.double().numpy())) == pytest.approx(float(found), rel=1e-6)


@given(st.lists(st.integers(2, 9), min_size=1, max_size=3), st.integers(2, 9))
def test_all_measures_at_once_are_each_of_them(lengths: list[int], width: int) -> None:
    states = torch.from_numpy(gaussian(len(lengths), max(lengths), width, seed=width))
    found = all_measures(states, lengths)
    counts = torch.tensor(lengths)
    assert found.matrix_nuclear_norm.tolist() == pytest.approx(matrix_nuclear_norm(states, lengths).tolist())
    assert found.nuclear_norm.tolist() == pytest.approx((nuclear_norm(states, lengths) / counts).tolist(), abs=1e-6)
    assert found.matrix_entropy.tolist() == pytest.approx(matrix_entropy(states, lengths).tolist())
    assert found.entropy_nats.exp().tolist() == pytest.approx(effective_rank(states, lengths).tolist())


def test_all_measures_at_once_do_not_count_the_rounding_of_zero_eigenvalues() -> None:
    states = torch.from_numpy(np.outer(gaussian(60), gaussian(40, seed=1)))
    assert all_measures(states).nuclear_norm.item() == pytest.approx(math.sqrt(60) / 60, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("states", "lengths", "error", "message"),
    [
        (np.ones((1, 4)), None, InputError, r"text 0 has 1 token\(s\), and a measure needs 2 or more; leave it out"),
        (np.ones((0, 4)), None, InputError, r"text 0 has 0 token\(s\)"),
        (np.ones((0, 3, 4)), None, InputError, r"nothing to measure in hidden states of shape \(0, 3, 4\)"),
        (np.ones((3, 0)), None, InputError, "nothing to measure"),
        (np.ones(3), None, ConfigError, r"hidden states of shape \(3,\) were given; give \(tokens, width\), or"),
        (gaussian(2, 4, 3), [4, 1], InputError, r"text 1 has 1 token"),
        (gaussian(2, 4, 3), [4, 5], ConfigError, "text 1 is said to have 5 tokens and has 4"),
        (gaussian(2, 4, 3), [4], ConfigError, "1 lengths were given for 2 texts"),
        (np.full((3, 4), 0.1), None, InputError, "token 0 of text 0 has the mean state of its text"),
        (np.zeros((3, 4)), None, InputError, "token 0 of text 0 has the mean state"),
        (np.array([[1.0, 2], [3, 6], [2, 4]]), None, InputError, "token 2 of text 0 has the mean state"),
        (np.array([[1.0, np.nan], [3, 6]]), None, InputError, "text 0 has hidden states that are infinite or not"),
        (np.array([[1.0, np.inf], [3, 6]]), None, InputError, "text 0 has hidden states that are infinite or not"),
    ],
)
def test_what_has_no_measure_is_an_error_that_names_the_text(
    measure: Callable[..., Any],
    kind: Callable[..., Any],
    states: NDArray[np.float64],
    lengths: list[int] | None,
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        measure(kind(states), lengths)


def test_a_width_of_one_has_no_entropy() -> None:
    for kind in KINDS:
        with pytest.raises(InputError, match="a width of 1"):
            matrix_entropy(kind(np.array([[1.0], [2.0], [4.0]])))
