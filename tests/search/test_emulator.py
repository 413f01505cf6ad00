"""The emulator behind `match`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.search import Emulator
from blackbox_grad.search.acquisition import propose
from blackbox_grad.search.kernel import Coordinates

FloatArray = NDArray[np.float64]
CURVED = ParameterSpace([Parameter("a"), Parameter("mode", "stepped", levels=4), Parameter("b"), Parameter("c")])


def curved(points: FloatArray, features: int = 50) -> list[torch.Tensor]:
    """Smooth features of the settings, different for each mode."""
    waves = np.random.default_rng(1).standard_normal((3, features))
    modes = np.random.default_rng(2).standard_normal((4, features))
    found = np.sin(points[:, [0, 2, 3]] @ waves) + modes[np.rint(points[:, 1] * 3).astype(int)]
    return list(torch.from_numpy(found).float())


def taught(space: ParameterSpace, points: FloatArray, features: list[torch.Tensor], seed: int = 0) -> Emulator:
    emulator = Emulator(space, seed)
    emulator.add(points, np.array([float(f.abs().sum()) for f in features]), features)
    emulator.fit()
    return emulator


def drawn(count: int, seed: int = 0, space: ParameterSpace = CURVED) -> FloatArray:
    return space.snap(np.random.default_rng(seed).uniform(size=(count, len(space))))


def test_it_predicts_the_residuals_of_settings_that_were_not_rendered() -> None:
    points, others = drawn(80), drawn(40, seed=1)
    known = curved(points)
    emulator = taught(CURVED, points, known)
    scale = np.mean([float(f.double().square().sum()) for f in known])
    truth = np.array([float(f.double().square().sum()) for f in curved(others)]) / scale
    predicted, variance = emulator.predict(others)
    assert np.corrcoef(truth, predicted)[0, 1] > 0.95
    assert np.sqrt(np.mean((truth - predicted) ** 2)) < 0.2 * truth.std()
    again, certain = emulator.predict(points)
    assert np.allclose(again, [float(f.double().square().sum()) / scale for f in known], atol=0.02)
    assert certain.mean() < 0.3 * variance.mean()


def test_slopes_are_those_of_the_prediction() -> None:
    emulator = taught(CURVED, drawn(25), curved(drawn(25)))
    step = 1e-3
    for point in drawn(5, seed=3) * 0.9 + 0.05:
        point = CURVED.snap(point)
        square, variance, to_square, to_variance = emulator.predict_with_slopes(point)
        assert (square, variance) == pytest.approx([float(v[0]) for v in emulator.predict(point[None])], abs=1e-8)
        for i in (0, 2, 3):
            move = step * np.eye(4)[i]
            ahead, behind = emulator.predict((point + move)[None]), emulator.predict((point - move)[None])
            assert to_square[i] == pytest.approx(float(ahead[0][0] - behind[0][0]) / (2 * step), rel=1e-3, abs=1e-3)
            assert to_variance[i] == pytest.approx(float(ahead[1][0] - behind[1][0]) / (2 * step), rel=0.02, abs=1e-3)


@pytest.mark.slow
def test_a_few_renders_lead_to_settings_whose_residuals_vanish() -> None:
    hidden = CURVED.snap(np.array([0.3, 1 / 3, 0.8, 0.55]))
    (target,) = curved(hidden[None], features=9000)  # more than a sketch holds

    def residuals(points: FloatArray) -> list[torch.Tensor]:
        return [f - target for f in curved(points, features=9000)]

    def losses(points: FloatArray) -> FloatArray:
        return np.array([float(r.abs().sum()) for r in residuals(points)])

    emulator = taught(CURVED, drawn(8), residuals(drawn(8)))
    for _ in range(20):
        point = CURVED.snap(propose(emulator, emulator.best, 0.0))[None]
        emulator.add(point, losses(point), residuals(point))
        emulator.fit()
    assert emulator.best == pytest.approx(hidden, abs=0.01)
    # as many quasi-random settings stay far from it
    assert emulator.lowest < 0.05 * losses(drawn(28)).min()


def test_without_exploration_the_lowest_expected_square_is_proposed() -> None:
    emulator = taught(CURVED, drawn(20), curved(drawn(20)))

    def expected(points: FloatArray) -> FloatArray:
        return np.add(*emulator.predict(points))

    proposed = propose(emulator, emulator.best, 0.0)
    lowest = expected(proposed[None])[0]
    near = proposed + 0.02 * np.random.default_rng(0).standard_normal((500, 4)) * [1, 0, 1, 1]
    assert lowest < expected(drawn(2000, seed=9)).min()
    assert lowest <= expected(CURVED.snap(np.clip(near, 0.0, 1.0))).min() * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_exploration_prefers_settings_of_which_less_is_known(seed: int) -> None:
    emulator = taught(CURVED, drawn(20, seed), curved(drawn(20, seed)))
    without, much = (emulator.predict(propose(emulator, emulator.best, e)[None])[1] for e in (0.0, 20.0))
    assert without < much


def test_levels_without_an_order_are_equally_far_apart() -> None:
    at = Coordinates(CURVED).of(np.array([[0.5, level / 3, 0.5, 0.5] for level in range(4)]))
    distances = np.linalg.norm(at[:, None] - at[None], axis=-1)
    assert np.allclose(distances, 1.0 - np.eye(4))


def test_proposals_lie_in_the_box_and_repeat_with_the_seed() -> None:
    for exploration in (0.0, 1.5):
        proposals = [propose(taught(CURVED, drawn(12), curved(drawn(12)), s), np.ones(4), exploration) for s in (5, 5, 6)]
        assert all(((p >= 0.0) & (p <= 1.0)).all() for p in proposals)
        assert np.array_equal(proposals[0], proposals[1])
    only_lists = ParameterSpace([Parameter("mode", "stepped", levels=3), Parameter("on", "toggle")])
    points = only_lists.snap(np.array([[0.0, 0.0], [0.5, 1.0], [1.0, 0.0]]))
    emulator = taught(only_lists, points, [torch.full((10,), float(p.sum())) for p in points])
    assert only_lists.snap(propose(emulator, points[0], 0.5)) in np.array([[a, b] for a in (0, 0.5, 1) for b in (0, 1)])


def test_renders_that_are_not_finite_and_all_but_the_best_are_forgotten() -> None:
    emulator = Emulator(CURVED)
    points = drawn(300)
    losses = np.arange(300.0)[::-1].copy()
    losses[::10] = np.inf
    emulator.add(points, losses, curved(points))
    assert len(emulator) == 128
    assert np.isfinite(emulator.losses).all()
    assert emulator.losses.max() < 150
    # renders that all sound alike, as from a closed gate, do no harm
    same = Emulator(CURVED)
    same.add(points[:20], np.ones(20), [torch.ones(50)] * 20)
    same.fit()
    assert np.isfinite(propose(same, points[0], 0.0)).all()
