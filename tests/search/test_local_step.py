"""Gauss-Newton steps from existing renders."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.search import Emulator
from blackbox_grad.search.local_step import gauss_newton, local_step


def step_from(moves, inner, low=-1.0, high=1.0):
    """The step if all parameters have equal influence."""
    ones = np.ones(moves.shape[1])
    return gauss_newton(moves, inner, low * ones, high * ones, slopes=ones, lengths=ones)


def inner_products(moves, slopes, here):
    """`[1 + N, 1 + N]` of residuals that are linear in the step."""
    residuals = np.vstack([here, here + moves @ slopes])
    return residuals @ residuals.T


@pytest.mark.parametrize("count", [1, 3, 8])
def test_one_step_takes_what_linear_residuals_have(count):
    random = np.random.default_rng(count)
    moves, slopes = 0.02 * random.standard_normal((count + 2, count)), random.standard_normal((count, 40))
    wanted = 0.05 * random.standard_normal(count)
    step = step_from(moves, inner_products(moves, slopes, -wanted @ slopes))
    assert np.linalg.norm((step - wanted) @ slopes) < 0.1 * np.linalg.norm(wanted @ slopes)


def test_it_stays_in_the_box_and_is_the_best_there():
    random = np.random.default_rng(0)
    moves, slopes = 0.01 * random.standard_normal((6, 2)), np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    inner = inner_products(moves, slopes, -np.array([0.3, 0.1]) @ slopes)
    step = step_from(moves, inner, -0.1, np.array([0.05, 0.4]))
    # with the first parameter at its face, the second compensates for a part of the rest: 0.25 · 0.25 / 1.25
    assert step == pytest.approx([0.05, 0.15], abs=1e-2)


def test_directions_that_were_never_tried_are_not_moved_along():
    moves = np.array([[0.02, 0.0], [-0.01, 0.0], [0.03, 0.0]])
    slopes = np.array([[1.0, 0.0], [0.0, 1.0]])
    step = step_from(moves, inner_products(moves, slopes, np.array([-0.1, -0.1])))
    assert step == pytest.approx([0.1, 0.0], abs=5e-3)


def test_near_renders_count_more_than_far_ones():
    random = np.random.default_rng(0)

    def curved(at):
        return np.stack([np.sin(3 * at[:, 0]) - np.sin(0.3), np.expm1(at[:, 0] * at[:, 1]), at[:, 1] ** 2 + at[:, 1]], 1)

    here = np.array([0.12, 0.02])
    moves = np.concatenate([0.01 * random.standard_normal((3, 2)), random.uniform(-1, 1, (20, 2))])
    residuals = curved(np.vstack([here, here + moves]))
    step = step_from(moves, residuals @ residuals.T)
    assert np.abs(curved((here + step)[None])).sum() < 0.05 * np.abs(residuals[0]).sum()


def test_the_emulator_steps_with_the_levels_of_the_best_settings():
    space = ParameterSpace([Parameter("a"), Parameter("mode", "stepped", levels=4), Parameter("b")])
    waves, modes = np.random.default_rng(1).standard_normal((2, 60)), np.random.default_rng(2).standard_normal((4, 60))
    hidden = np.array([0.31, 2 / 3, 0.64])

    def residuals(points):
        found = (points - hidden)[:, [0, 2]] @ waves + modes[np.rint(3 * points[:, 1]).astype(int)] - modes[2]
        return list(torch.from_numpy(found).float())

    near = hidden + np.array([[0.02, 0, 0.01], [-0.01, 0, 0.02], [0.02, 0, -0.03]])
    others = space.snap(np.random.default_rng(3).uniform(size=(6, 3)))
    points = np.concatenate([others, near])
    emulator = Emulator(space)
    emulator.add(points, np.array([float(r.abs().sum()) for r in residuals(points)]), residuals(points))
    emulator.fit()
    assert local_step(emulator) == pytest.approx(hidden, abs=2e-3)
    lone = Emulator(space)
    lone.add(points[:1], np.ones(1), residuals(points[:1]))
    lone.fit()
    assert np.array_equal(local_step(lone), points[0])


def test_its_slopes_are_those_of_what_it_minimises(monkeypatch):
    random = np.random.default_rng(4)
    functions = []
    monkeypatch.setattr(
        "blackbox_grad.search.local_step.minimum", lambda function, start, *_: functions.append(function) or (start, 0.0)
    )
    moves, residuals = random.uniform(-1, 1, (5, 3)), random.standard_normal((6, 20))
    slopes, lengths = np.array([1.0, 4.0, 0.5]), np.array([0.7, 0.4, 3.0])
    gauss_newton(moves, residuals @ residuals.T, np.full(3, -1.0), np.full(3, 1.0), slopes, lengths)
    for point in random.uniform(-1, 1, (5, 3)):
        ahead = [functions[0](point + 1e-5 * e)[0] - functions[0](point - 1e-5 * e)[0] for e in np.eye(3)]
        assert functions[0](point)[1] == pytest.approx(np.array(ahead) / 2e-5, rel=1e-6)


def test_what_is_not_known_for_sure_makes_it_careful():
    """One far render: the plain regression goes all the way to -1."""
    far = np.array([[1.0]])
    inner = inner_products(far, np.array([[1.0, 0.5]]), np.array([1.0, 0.5]))
    ones = np.ones(1)
    steps = [float(gauss_newton(far, inner, -2 * ones, 2 * ones, ones, length * ones)[0]) for length in (10.0, 1.0, 0.3)]
    assert steps[0] == pytest.approx(-1.0, abs=0.01)
    assert -1.0 < steps[0] < steps[1] < steps[2] < 0.0
    # a second render near by makes it more certain
    both = np.array([[1.0], [-0.1]])
    inner = inner_products(both, np.array([[1.0, 0.5]]), np.array([1.0, 0.5]))
    assert gauss_newton(both, inner, -2 * ones, 2 * ones, slopes=ones, lengths=ones) < steps[1]


def test_steep_slopes_and_near_renders_are_no_trouble():
    ones = np.ones(2)
    near = np.array([[1e-4, 1e-4]])
    inner = inner_products(near, np.eye(2), np.array([0.1, 0.1]))
    step = gauss_newton(near, inner, -ones, ones, slopes=148 * ones, lengths=54.6 * ones)
    assert step == pytest.approx([-0.1, -0.1], abs=1e-3)


def test_renders_next_to_the_best_do_not_spoil_it():
    """Differences of settings that are almost the same are rounding."""
    space = ParameterSpace([Parameter(name) for name in "abcdef"])
    random = np.random.default_rng(1)
    waves, hidden = random.standard_normal((6, 60)), np.full(6, 0.4)
    best = hidden + 0.02 * random.standard_normal(6)
    near, next_to = hidden + 0.03 * random.standard_normal((8, 6)), best + 1e-6 * random.standard_normal((4, 6))
    points = np.concatenate([random.uniform(size=(16, 6)), near, next_to, best[None]])
    residuals = list(torch.from_numpy((np.round(points * 2**20) / 2**20 - hidden) @ waves).float())
    emulator = Emulator(space)
    emulator.add(points, np.array([float(r.abs().sum()) for r in residuals]), residuals)
    emulator.fit()
    assert emulator.losses.argmin() >= 24
    assert np.abs((local_step(emulator) - hidden) @ waves).sum() < 0.05 * emulator.lowest


@pytest.mark.parametrize(("length", "expected"), [(10.0, 0.07), (0.1, 0.1)])
def test_a_render_counts_little_where_a_parameter_that_bends_moved(length, expected):
    """Two renders give slopes of 1 and 3 along the first parameter; in the second render the second parameter moved too."""
    moves, residuals = np.array([[0.2, 0.0], [0.2, 0.2]]), np.array([[-0.1], [0.1], [0.5]])
    slopes, lengths = np.array([1.0, 1e-3]), np.array([10.0, length])
    step = gauss_newton(moves, residuals @ residuals.T, np.full(2, -1.0), np.full(2, 1.0), slopes, lengths)
    assert step[0] == pytest.approx(expected, rel=0.05)
