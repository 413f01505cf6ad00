"""`Coordinates`: its random choice of parameters, and the quality of its estimates."""

from __future__ import annotations

import copy

import pytest
import torch

import blackbox_grad as bg
from blackbox_grad.errors import EstimatorError, ParameterError
from blackbox_grad.testing import check_estimator

SLOPES = torch.tensor([30.0, -10.0, 3.0, 1.0, -1.0, 0.5, 0.0, 0.0]).double()


def problem(batch: int = 6, seed: int = 0, asked: list[torch.Tensor] | None = None) -> bg.Problem:
    """A linear function of strong, weak and dead parameters."""

    def function(p: torch.Tensor) -> torch.Tensor:
        if asked is not None:
            asked.append(p)
        return p @ SLOPES

    return bg.Problem.of_function(function, torch.full((batch, len(SLOPES)), 0.5), seed=seed)


def experienced(samples: int = 2, **options: float) -> bg.Coordinates:
    estimator = bg.Coordinates(samples, **options)
    for seed in range(40):
        estimator.estimate(problem(seed=seed))
    return estimator


def error(estimator: bg.Estimator) -> float:
    gradient = copy.deepcopy(estimator).estimate(problem(4000)).gradient
    return float((gradient - SLOPES).square().sum(1).mean() / SLOPES.square().sum())


def test_every_probe_moves_one_parameter_and_every_item_has_its_own():
    asked: list[torch.Tensor] = []
    given = problem(50, asked=asked)
    bg.Coordinates(samples=3).estimate(given)
    moved = asked[0] != given.point
    assert (moved.sum(2) == 1).all()
    assert (moved.any(0).sum(1) == 3).all(), "no parameter of an item is probed twice"
    assert len(moved.any(0).unique(dim=0)) > 20


def test_what_matters_is_probed_more_often():
    asked: list[torch.Tensor] = []
    experienced().estimate(problem(4000, asked=asked))
    share = (asked[0] != 0.5).any(0).double().mean(0)
    assert share[0] > 0.9
    assert share[1] > 0.3
    assert share[0] > share[1] > share[2] > share[3]
    assert share.min() > 0.2 * 2 / 8 * 0.4, "and nothing is ever given up"
    assert share.sum() == pytest.approx(2.0)


def test_parameters_are_drawn_in_proportion_to_the_root_mean_square_of_their_slopes():
    """Two of equal root mean square, one of which matters in half of the items only, and one of half of that."""
    often, seldom = torch.tensor([2.0, 0.0, 1.0]).double(), torch.tensor([2.0, 8.0**0.5, 1.0]).double()
    asked: list[torch.Tensor] = []

    def given(batch: int, seed: int = 0) -> bg.Problem:
        slopes = torch.where(torch.arange(batch)[:, None] % 2 == 0, often, seldom)

        def function(p: torch.Tensor) -> torch.Tensor:
            asked.append(p)
            return (p * slopes).sum(-1)

        return bg.Problem.of_function(function, torch.full((batch, 3), 0.5), seed=seed)

    estimator = bg.Coordinates(samples=1)
    for seed in range(20):
        estimator.estimate(given(300, seed))
    asked.clear()
    estimator.estimate(given(6000))
    share = (asked[0] != 0.5).any(0).double().mean(0)
    # a fifth of the draws is spread evenly
    assert share.tolist() == pytest.approx([0.8 * part + 0.2 / 3 for part in (0.4, 0.4, 0.2)], abs=0.03)


def test_what_it_remembers_is_worth_as_much_as_many_probes():
    fresh, informed = bg.Coordinates(), bg.Coordinates(influence={f"p{i}": abs(float(s)) for i, s in enumerate(SLOPES)})
    orthogonal = bg.SPSA(samples=2, sides=1, directions="orthogonal")
    assert error(experienced()) < 0.15 * error(fresh)
    assert error(informed) < 0.15 * error(fresh)
    assert error(experienced()) < 0.15 * error(orthogonal)
    assert error(experienced(memory=0.0)) == pytest.approx(error(fresh), rel=0.2)


@pytest.mark.parametrize("samples", [1, 2, 5, 8])
def test_with_memories_it_keeps_its_promises(samples):
    assert "it is unbiased on the polynomials it declares" in check_estimator(experienced(samples), (8,))


def test_it_begins_anew_with_other_parameters():
    estimator = experienced()
    other = bg.Problem.of_function(lambda p: p.sum(-1), torch.full((2, 3), 0.5))
    assert torch.isfinite(estimator.estimate(other).gradient).all()


@pytest.mark.parametrize("scale", [0.0, 1e-200, 1e200])
def test_slopes_of_any_size_are_survived(scale):
    estimator = bg.Coordinates()
    for seed in range(3):
        given = bg.Problem.of_function(lambda p: scale * p.sum(-1), torch.full((2, 5), 0.5), seed=seed)
        assert torch.isfinite(estimator.estimate(given).gradient).all()


@pytest.mark.parametrize("estimator", ["coordinates", "auto"])
def test_without_parameters_nothing_is_probed(estimator):
    layer = bg.DifferentiableEffect("reference:gain", parameters=[], estimator=estimator, host=bg.InProcessHost())
    x, p = torch.randn(2, 1, 64), torch.zeros(2, 0, requires_grad=True)
    for _ in range(3):
        layer.loss(x, p, lambda y, t: (y - t).abs().mean((1, 2)), x).backward()
    assert p.grad.shape == (2, 0)


def test_influence_of_any_size_and_of_known_parameters_only():
    large = bg.Coordinates(influence={"p0": 1e300, "p1": 1e-300})
    assert torch.isfinite(large.estimate(problem()).gradient).all()
    with pytest.raises(ParameterError, match="no parameter 'Gain'"):
        bg.Coordinates(influence={"Gain": 1.0}).estimate(problem())


def test_what_is_not_finite_teaches_nothing():
    """The forward render of an item is not finite, so a comparison with it says nothing."""
    estimator = bg.Coordinates()
    for seed in range(20):
        given = bg.Problem.of_function(lambda p: p @ SLOPES, torch.full((6, 8), 0.5), seed=seed)
        given.__dict__["value"] = torch.where(torch.arange(6) == 0, torch.nan, given.value)
        assert torch.isfinite(estimator.estimate(given).gradient).all()
    assert error(estimator) < 0.4


def test_parameters_without_influence_are_probed_too():
    asked: list[torch.Tensor] = []
    influence = {f"p{i}": float(i > 1) for i in range(8)}
    bg.Coordinates(1, influence=influence).estimate(problem(4000, asked=asked))
    assert (asked[0] != 0.5).any(0).double().mean(0)[:2].tolist() == pytest.approx([0.2 / 8] * 2, abs=0.01)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": 0}, "samples=0"),
        ({"memory": 1.0}, r"memory=1.0 must lie in \[0, 1\)"),
        ({"step": 0.7}, "step=0.7"),
        ({"step": {"Gain": 0.0}}, "step=0.0 of 'Gain'"),
        ({"influence": {"Gain": "much"}}, "influence={'Gain': 'much'}"),
        ({"influence": ["Gain"]}, "must map names"),
        ({"influence": {"Gain": -1.0, "Tone": 1.0}}, "influence={'Gain': -1.0} must be 0 or more"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(EstimatorError, match=said):
        bg.Coordinates(**options)
