"""Probes of an effect whose equal renders differ are means of several renders."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch

import blackbox_grad as bg
from blackbox_grad.errors import EstimatorError, NotRepeatableWarning

SATURATION = "pedalboard-builtin:Distortion"


class NoisyHost(bg.InProcessHost):
    """Adds to every render and probe what no host can reset."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount, self.rng = amount, np.random.default_rng(0)

    def open(self, spec):
        return dataclasses.replace(super().open(spec), repeatability=self.amount)

    def render_batch(self, spec, audio, points):
        y, finite = super().render_batch(spec, audio, points)
        return y + np.float32(self.amount) * self.rng.normal(size=y.shape).astype(np.float32), finite

    def probe_batch(self, spec, audio, points, cotangent):
        values = super().probe_batch(spec, audio, points, cotangent)
        return values + 8 * self.amount * self.rng.normal(size=values.shape)


def spread(averages: int | None, amount: float = 1.0) -> float:
    """Standard deviation of a gradient's estimate."""
    layer = bg.DifferentiableEffect(
        SATURATION, host=NoisyHost(amount), estimator="finite-difference:step=0.1", averages=averages
    )
    x, p = torch.full((256, 1, 64), 0.1), torch.full((256, 1), 0.5)
    return float(layer.estimate(x, p, torch.ones_like(x), seed=0).std())


@pytest.mark.filterwarnings("ignore::blackbox_grad.errors.NotRepeatableWarning")
def test_the_noise_of_a_gradient_falls_with_the_root_of_the_renders():
    assert spread(1) / spread(None) == pytest.approx(8**0.5, rel=0.25)
    assert spread(1) / spread(32) == pytest.approx(32**0.5, rel=0.25)


@pytest.mark.parametrize(("amount", "averages"), [(0.0, 1), (0.05, 1), (0.5, 8)])
def test_an_effect_that_is_not_repeatable_is_rendered_several_times_and_this_is_said_once(amount, averages):
    host = NoisyHost(amount)
    layer = bg.DifferentiableEffect(SATURATION, host=host, estimator="spsa:samples=3,sides=1")
    x, p = torch.full((2, 1, 64), 0.1), torch.full((2, 1), 0.5, requires_grad=True)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            layer(x, p).sum().backward()
    # an item: the forward render, whose value is averaged too, and three probes
    assert host.renders == 2 * 2 * averages * (1 + 3)
    found = [str(w.message) for w in said if issubclass(w.category, NotRepeatableWarning)]
    assert len(found) == (averages > 1)
    assert all("equal renders differ by 0.5" in text and "averages=1 turns it off" in text for text in found)
    host.renders = 0
    layer.loss(x, p, lambda y: y.square().mean((1, 2))).backward()
    assert host.renders == 2 * averages * (1 + 3)


def test_averages_is_a_whole_number():
    with pytest.raises(EstimatorError, match="averages=0 must be a whole number, 1 or more, or None"):
        bg.DifferentiableEffect(SATURATION, averages=0)
