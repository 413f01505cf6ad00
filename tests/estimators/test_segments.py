"""All knots from few renders: against finite differences of every knot, on real effects and in hosts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from blackbox_grad import Automated, DifferentiableEffect, EffectSpec, FiniteDifference, InProcessHost, ProcessPool, Segments
from blackbox_grad.audio_files import example
from blackbox_grad.errors import AudioError, EstimatorError
from blackbox_grad.estimators import Problem
from blackbox_grad.estimators.segments import stride_of
from blackbox_grad.layer import Renderer
from blackbox_grad.parameters import Row

KNOTS, SECONDS = 16, 2.0


@pytest.fixture(scope="module")
def pool():
    with ProcessPool(2) as host:
        yield host


def task(address: str, moving: list[str], host) -> tuple[Renderer, Problem]:
    """The vector-Jacobian product of a squared difference from other curves, on the guitar."""
    audio, rate = example()
    x = torch.from_numpy(audio[:, : round(SECONDS * rate)])[None]
    spec = Automated(EffectSpec.of(address, rate, moving), KNOTS, moving, seconds=SECONDS).spec
    renderer = Renderer(spec, host)
    rng = np.random.default_rng(0)
    bent = [np.interp(np.linspace(0, 3, KNOTS), np.arange(4), rng.uniform(0.3, 0.7, 4)) for _ in range(2 * len(moving))]
    p, q = (torch.from_numpy(np.concatenate(half))[None] for half in (bent[: len(moving)], bent[len(moving) :]))
    y, finite = renderer.render(x, p)
    target, _ = renderer.render(x, q)
    return renderer, renderer.cotangent_problem(x, p, y, finite, lambda: 2 * (y - target), torch.Generator().manual_seed(0))


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("address", "moving", "most"),
    [
        ("pedalboard-builtin:Compressor", ["threshold_db", "ratio"], 5),
        ("dawdreamer:http://drobilla.net/plugins/mda/Overdrive", ["Drive", "Muffle"], 5),
        ("dawdreamer:ZamEQ2.vst3", ["Boost/Cut 1", "Frequency 1"], 5),
    ],
)
def test_the_gradient_of_all_knots_from_few_renders(address, moving, most, pool):
    _, problem = task(address, moving, pool)
    truth = FiniteDifference(step=0.01).estimate(problem).gradient
    problem.probes = 0
    found = Segments(samples=16).estimate(problem).gradient
    assert problem.probes <= most
    assert cosine(found, truth) >= 0.9


@pytest.mark.plugins
def test_what_rings_on_is_probed_with_more_distance(pool):
    """A reverb: with its measured memory the estimate is right, and as if it had none it is not as right."""
    _, problem = task("pedalboard-builtin:Reverb", ["wet_level", "room_size"], pool)
    truth = FiniteDifference(step=0.01).estimate(problem).gradient
    estimator = Segments(samples=1000)
    found = estimator.estimate(problem).gradient
    assert estimator.memory is not None
    assert estimator.memory > 0.1
    assert cosine(found, truth) > 0.95
    deaf = Segments(samples=1000, memory=0.0).estimate(problem).gradient
    assert (found - truth).norm() < 0.5 * (deaf - truth).norm()


def test_the_stride_follows_the_memory():
    row = Row("a", 0, tuple(0.1 * k for k in range(10)))
    assert [stride_of(row, memory) for memory in (0.0, 0.05, 0.1, 0.25, 5.0, math.inf)] == [2, 3, 3, 5, 10, 10]
    assert stride_of(Row("a", 0, row.seconds, "held"), 0.0) == 1


def test_segments_of_hosts_add_up_and_are_equal(pool):
    spec = Automated("reference:soft-clip", 3, seconds=0.25).spec
    rng = np.random.default_rng(0)
    audio = (0.3 * rng.standard_normal((2, 2, 11025))).astype(np.float32)
    weights, points = rng.standard_normal(audio.shape).astype(np.float32), rng.uniform(size=(3, 2, 6))
    bounds = np.array([0, 17, 5000, 5000, 11025])
    host = InProcessHost()
    here, there = (each.probe_segments(spec, audio, points, weights, bounds) for each in (host, pool))
    assert np.array_equal(here, there)
    assert here.shape == (3, 2, 4)
    assert (here[..., 2] == 0.0).all()
    assert np.allclose(here.sum(-1), host.probe_batch(spec, audio, points, weights), rtol=1e-5)
    for wrong in ([0, 11026], [5, 3], [0]):
        with pytest.raises(AudioError, match="bounds of segments must be"):
            pool.probe_segments(spec, audio, points, weights, np.array(wrong))


def test_a_host_that_takes_no_segments_is_asked_for_whole_renders():
    class Plain:
        """A host of another package."""

        def __init__(self):
            self.inner = InProcessHost()
            self.renders = self.nonfinite = 0

        def __getattr__(self, name):
            if name == "probe_segments":
                raise AttributeError(name)
            return getattr(self.inner, name)

    _, one = task("reference:soft-clip", ["Drive"], Plain())
    _, other = task("reference:soft-clip", ["Drive"], InProcessHost())
    gradients = [Segments(memory=0.0).estimate(problem).gradient for problem in (one, other)]
    assert gradients[0].norm() > 0.0
    assert torch.allclose(*gradients, rtol=1e-4)


def test_a_layer_learns_curves_through_it():
    x = 0.3 * torch.randn(1, 1, 22050, generator=torch.Generator().manual_seed(0))
    layer = DifferentiableEffect(
        Automated("reference:soft-clip", 8, ["Drive"], seconds=0.5), host=InProcessHost(), estimator="segments:samples=4"
    )
    hidden = torch.tensor([[0.2, 0.3, 0.4, 0.6, 0.7, 0.6, 0.5, 0.4, 0.5]])
    target = layer(x, hidden)
    p = torch.full((1, 9), 0.5, requires_grad=True)
    adam = torch.optim.Adam([p], lr=0.03)
    before = float((layer(x, p) - target).square().sum())
    for _ in range(60):
        adam.zero_grad()
        loss = (layer(x, p) - target).square().sum()
        loss.backward()
        adam.step()
        p.data.clamp_(0, 1)
    assert float(loss) < 0.02 * before


def test_it_is_the_default_where_settings_move():
    moving = DifferentiableEffect(Automated("reference:gain", 4, seconds=0.5), host=InProcessHost())
    assert repr(moving.estimator) == "Segments(samples=2, step=0.01, memory=None)"
    assert "Auto" in repr(DifferentiableEffect("reference:gain", host=InProcessHost()).estimator)


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"samples": 2.5}, {"memory": -1.0}, {"step": 0.0}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(EstimatorError, match=f"Segments: {next(iter(wrong))}="):
        Segments(**wrong)


def test_a_problem_without_an_effect_has_no_segments():
    problem = Problem.of_function(lambda p: p.sum(-1), torch.full((1, 2), 0.5))
    with pytest.raises(EstimatorError, match="have no segments"):
        problem.probe_segments(torch.full((1, 1, 2), 0.5), torch.tensor([0, 1]))
