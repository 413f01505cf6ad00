"""Gauss-Newton steps from renders that are there already."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.emulator import Emulator
from blackbox_grad.local_step import gauss_newton


def step_from(moves, inner, low=-1.0, high=1.0):
    """From where all parameters matter alike."""
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
    # with the first parameter at its face, the second makes up for a part of what is left: 0.25 · 0.25 / 1.25
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
    assert emulator.step() == pytest.approx(hidden, abs=2e-3)
    lone = Emulator(space)
    lone.add(points[:1], np.ones(1), residuals(points[:1]))
    lone.fit()
    assert np.array_equal(lone.step(), points[0])
