import pytest
import torch
from torch.nn import functional

from slimpajama.study.training.token_losses import CHUNK_LOGITS, in_place, mean_loss, to_be_fused, token_losses


def made(rows: int, vocabulary: int, kind: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, 8, generator=random).to(kind).requires_grad_()
    weight = torch.randn(vocabulary, 8, generator=random).to(kind).requires_grad_()
    labels = torch.randint(0, vocabulary, (rows,), generator=random)
    labels[::5] = -100
    return hidden, weight, labels


def plain(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, scale: float) -> torch.Tensor:
    return functional.cross_entropy(hidden @ weight.T * scale, labels, ignore_index=-100)


@pytest.mark.parametrize("rows", [1, 7, 40])
@pytest.mark.parametrize("vocabulary", [11, CHUNK_LOGITS // 16])
def test_the_loss_and_its_gradients_are_those_of_pytorch_over_any_chunks(rows: int, vocabulary: int) -> None:
    hidden, weight, labels = made(rows, vocabulary)
    labels[0] = 3
    loss = mean_loss(hidden, weight, labels, 0.7)
    found = torch.autograd.grad(loss * 2, (hidden, weight))
    expected_loss = plain(hidden, weight, labels, 0.7)
    expected = torch.autograd.grad(expected_loss * 2, (hidden, weight))
    assert torch.allclose(loss, expected_loss, atol=1e-5)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(found, expected, strict=True))


def test_half_precision_gives_gradients_of_its_own_kind_and_a_loss_in_single() -> None:
    hidden, weight, labels = made(40, 11, torch.bfloat16)
    loss = mean_loss(hidden, weight, labels, 0.7)
    loss.backward()
    assert loss.dtype == torch.float32
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.bfloat16
    assert torch.allclose(loss, plain(hidden.float(), weight.float(), labels, 0.7), rtol=0.02)


def test_the_mean_of_no_labels_is_zero() -> None:
    hidden, weight, _ = made(4, 11)
    loss = mean_loss(hidden, weight, torch.full((4,), -100), 1.0)
    loss.backward()
    assert float(loss.detach()) == 0
    assert hidden.grad is not None
    assert not hidden.grad.any()


def test_losses_of_tokens_are_those_of_pytorch_and_zero_where_there_is_no_label() -> None:
    hidden, weight, labels = made(40, 11)
    found = token_losses(hidden, weight, labels, 0.7)
    expected = functional.cross_entropy(hidden @ weight.T * 0.7, labels, ignore_index=-100, reduction="none")
    assert torch.allclose(found, expected.detach(), atol=1e-5)
    assert not found[::5].any()


def test_what_a_gpu_compiles_gives_the_same_losses_and_gradients_and_nothing_to_columns_of_fill() -> None:
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(9, 16, generator=random)
    labels = torch.randint(0, 11, (9,), generator=random)
    labels[2] = -100
    share = torch.tensor(1 / 8)
    fused = to_be_fused(logits, labels, share, 0.7, 11)
    plain = in_place(logits[:, :11] * 0.7, labels, share * 0.7)
    assert torch.allclose(fused.losses, plain.losses, atol=1e-6)
    assert torch.allclose(fused.gradient[:, :11], plain.gradient, atol=1e-7)
    assert not fused.gradient[:, 11:].any()
