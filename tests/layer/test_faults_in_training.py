"""A plug-in that crashes, hangs, raises or returns NaN in the middle of training costs only that step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import blackbox_grad as bg
from blackbox_grad.errors import NonFiniteAudioError, RenderError

STEPS = 6
AUDIO = torch.randn(2, 1, 600, generator=torch.Generator().manual_seed(0)) * 0.1

#: Settings of `faulty:…` up to 0.5 are fine; above, it fails.
FINE, FAILS = 0.3, 0.9


@pytest.fixture(scope="module")
def pool(_third_party_path: str) -> Iterator[bg.ProcessPool]:
    """A render that hangs ends after 2 s; a healthy one takes a thousandth of that."""
    with bg.ProcessPool(hosts=2, time_limit=2.0) as pool:
        yield pool


def trained(layer: bg.DifferentiableEffect, disturb: Callable[[int, Tensor], None] = lambda step, p: None) -> list[Tensor]:
    """The losses and the parameters of each step toward a quieter setting, with momentum."""
    torch.manual_seed(1)
    p = torch.tensor([[FINE], [FINE]], requires_grad=True)
    optimizer = torch.optim.Adam([p], lr=0.02)
    seen = []
    for step in range(STEPS):
        disturb(step, p)
        optimizer.zero_grad()
        loss = (layer(AUDIO, p) - 0.1 * AUDIO).square().sum()
        loss.backward()
        optimizer.step()
        seen += [loss.detach(), p.detach().clone()]
    return seen


def in_forward(layer: bg.DifferentiableEffect) -> None:
    layer(AUDIO, torch.full((2, 1), FAILS, requires_grad=True))


def in_loss(layer: bg.DifferentiableEffect) -> None:
    layer.loss(AUDIO, torch.full((2, 1), FAILS, requires_grad=True), torch.nn.functional.mse_loss, AUDIO)


def layer_of(address: str, pool: bg.ProcessPool, **options: str) -> bg.DifferentiableEffect:
    return bg.DifferentiableEffect(address, host=pool, estimator="spsa:step=0.05", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("where", [in_forward, in_loss])
@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("raise", RenderError, "not in the mood"),
        ("crash", RenderError, "crashed with SIGSEGV"),
        pytest.param("hang", RenderError, "exceeded its time limit of 2 s", marks=pytest.mark.slow),
        ("nan", NonFiniteAudioError, "NaN or infinity"),
    ],
)
def test_training_goes_on_after_a_failed_step_as_if_it_had_not_been(
    pool: bg.ProcessPool, where: Callable[[bg.DifferentiableEffect], None], fault: str, error: type[Exception], said: str
) -> None:
    layer = layer_of(f"faulty:{fault}", pool)

    def disturb(step: int, p: Tensor) -> None:
        if step == STEPS // 2:
            with pytest.raises(error, match=rf"faulty:{fault}.*{said}.*Level=0\.9"):
                where(layer)

    undisturbed, disturbed = trained(layer), trained(layer, disturb)
    assert undisturbed[-2] < 0.5 * undisturbed[0]
    torch.testing.assert_close(undisturbed, disturbed, rtol=0, atol=0)


@pytest.mark.parametrize("fault", ["crash", "hang"])
def test_a_host_that_dies_once_in_training_changes_no_bit(pool: bg.ProcessPool, fault: str, tmp_path: Path) -> None:
    spent = tmp_path / "spent"
    layer = layer_of(f"faulty:{fault}", pool, once=str(spent))
    replaced = pool.replaced

    def disturb(step: int, p: Tensor) -> None:
        with torch.no_grad():
            p.add_(FAILS - FINE if step == 1 else 0.0)  # above 0.5: a first render fails, once

    spent.touch()
    expected = trained(layer, disturb)
    assert pool.replaced == replaced
    spent.unlink()
    torch.testing.assert_close(trained(layer, disturb), expected, rtol=0, atol=0)
    assert pool.replaced > replaced
    assert spent.exists()


@pytest.mark.parametrize("fault", ["crash", "hang", "raise"])
@pytest.mark.slow
def test_a_probe_that_fails_is_an_error_of_backward(pool: bg.ProcessPool, fault: str) -> None:
    layer = bg.DifferentiableEffect(f"faulty:{fault}", host=pool, estimator="finite-difference:step=0.1")
    p = torch.tensor([[0.45], [FINE]], requires_grad=True)
    loss = layer(AUDIO, p).square().sum()
    with pytest.raises(RenderError, match=rf"faulty:{fault}: .*item 0 of the batch at Level=0\.55"):
        loss.backward()
    assert p.grad is None
    trained(layer)


def test_renders_that_are_not_finite_cost_their_item_and_not_the_step(pool: bg.ProcessPool) -> None:
    layer = bg.DifferentiableEffect("faulty:nan", host=pool, on_nonfinite="silence")
    p = torch.tensor([[FINE], [FAILS]], requires_grad=True)
    (layer(AUDIO, p) - 0.1 * AUDIO).square().sum().backward()
    assert p.grad is not None
    assert p.grad[0] > 0.0
    assert p.grad[1] == 0.0
    assert layer.nonfinite == 1 + 1, "the second item, and its probe"
