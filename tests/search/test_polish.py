"""Gauss-Newton steps with renders, on functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.search import Found, Polish, drive

FloatArray = NDArray[np.float64]
FOUR = ParameterSpace([Parameter(f"p{i}") for i in range(4)])


def linear(slopes: FloatArray, hidden: FloatArray) -> Callable[[FloatArray], Found]:
    """Residuals that are linear in the settings and vanish at `hidden`, which may lie outside of the box."""

    def evaluate(points: FloatArray) -> Found:
        residuals = (points - hidden) @ slopes.T
        return np.abs(residuals).sum(axis=1), list(torch.from_numpy(residuals))

    return evaluate


@pytest.mark.parametrize("seed", range(4))
def test_a_parameter_that_ends_at_a_face_is_made_up_for_by_the_others_in_one_step(seed: int) -> None:
    """A step to the minimum of the whole space, cut off at the faces, leaves 3 to 8 % more than the best of the box."""
    strength = np.random.default_rng(seed).standard_normal((300, 4))
    slopes = strength @ (np.sqrt(0.05) * np.eye(4) + np.sqrt(0.95) / 2)  # all parameters do almost the same
    hidden = np.array([-0.6, 0.7, 0.4, 1.5])
    best = lsq_linear(slopes, slopes @ hidden, (0.0, 1.0)).x
    evaluate = linear(slopes, hidden)
    polish = Polish(FOUR, np.full(4, 0.5))
    drive(polish, FOUR, evaluate, renders=1 + 4 + 6, at_once=16)
    assert polish.lowest < 1.005 * evaluate(best[None])[0][0]
    assert polish.best[[0, 3]] == pytest.approx([0.0, 1.0])


SLOPES = np.random.default_rng(0).standard_normal((50, 4))
HIDDEN = np.array([0.3, 0.7, 0.45, 0.6])


def polished(
    space: ParameterSpace, start: FloatArray, evaluate: Callable[[FloatArray], Found], **options: float | None
) -> Polish:
    polish = Polish(space, start, **options)
    assert drive(polish, space, evaluate, renders=2000, at_once=16)
    return polish


def watched(evaluate: Callable[[FloatArray], Found]) -> tuple[list[FloatArray], Callable[[FloatArray], Found]]:
    """The settings that are rendered, and the same function."""
    asked: list[FloatArray] = []

    def watch(points: FloatArray) -> Found:
        asked.extend(points)
        return evaluate(points)

    return asked, watch


def test_linear_residuals_vanish_after_one_step() -> None:
    asked, evaluate = watched(linear(SLOPES, HIDDEN))
    polish = polished(FOUR, np.full(4, 0.5), evaluate, enough=1e-6)
    assert polish.best == pytest.approx(HIDDEN, abs=1e-6)
    assert polish.lowest <= 1e-6
    # the start; then differences along each parameter and six trials, as long as the dampings leave something
    assert len(asked) < 1 + 5 * (4 + 8)
    np.testing.assert_array_equal(asked[0], np.full(4, 0.5))


def test_absolute_values_count_not_their_squares() -> None:
    """A tenth of the residuals is of no use: its squares would pull the settings away."""
    wrong = np.where(np.arange(50) < 5, 30.0, 0.0)

    def evaluate(points: FloatArray) -> Found:
        residuals = (points - HIDDEN) @ SLOPES.T + wrong
        return np.abs(residuals).sum(axis=1), list(torch.from_numpy(residuals))

    polish = polished(FOUR, np.full(4, 0.5), evaluate)
    assert polish.best == pytest.approx(HIDDEN, abs=0.01)
    by_squares = lsq_linear(SLOPES, SLOPES @ HIDDEN - wrong, (0.0, 1.0)).x
    assert np.abs(by_squares - HIDDEN).max() > 0.1


def test_before_the_start_is_known_the_loss_is_infinite() -> None:
    polish = Polish(FOUR, np.full(4, 0.5))
    assert polish.lowest == np.inf
    np.testing.assert_array_equal(polish.best, np.full(4, 0.5))


@pytest.mark.parametrize("held", [0, 2])
def test_a_held_parameter_stays(held: int) -> None:
    asked, evaluate = watched(linear(SLOPES, HIDDEN))
    polish = polished(FOUR, np.full(4, 0.5), evaluate, held=held)
    assert {point[held] for point in asked} == {0.5}
    others = np.arange(4) != held
    best = lsq_linear(SLOPES[:, others], SLOPES @ HIDDEN - 0.5 * SLOPES[:, held]).x
    assert polish.lowest < 1.01 * linear(SLOPES, HIDDEN)(np.insert(best, held, 0.5)[None])[0][0]


def test_it_ends_at_once_where_the_loss_is_low_enough() -> None:
    asked, evaluate = watched(linear(SLOPES, HIDDEN))
    polished(FOUR, np.full(4, 0.5), evaluate, enough=float(evaluate(np.full((1, 4), 0.5))[0][0]))
    assert len(asked) == 2  # one of them by this test


@pytest.mark.parametrize("patience", [40, 80])
def test_so_many_renders_that_do_not_lower_the_loss_by_a_tenth_end_it(patience: int) -> None:
    """Every step lowers it by 1 %, so it would go on for ever."""
    lowest = [1.0]

    def evaluate(points: FloatArray) -> Found:
        lowest[0] *= 0.995
        return np.full(len(points), lowest[0]), [torch.tensor([lowest[0]])] * len(points)

    asked, evaluate = watched(evaluate)
    polished(FOUR, np.full(4, 0.5), evaluate, patience=patience)
    assert patience <= len(asked) < patience + 40, "a step is not cut short"


def test_probes_are_as_far_as_the_reach_and_no_nearer_than_the_finest() -> None:
    start = np.array([0.4, 0.6, 0.5, 0.99])
    asked, evaluate = watched(lambda points: (np.ones(len(points)), [torch.ones(3)] * len(points)))
    polished(FOUR, start, evaluate, reach=0.08, finest=0.005)
    moves = np.abs(np.array(asked) - start).max(axis=1)
    assert moves.max() == pytest.approx(0.08)
    assert moves[moves > 0].min() == pytest.approx(0.005)
    np.testing.assert_allclose(np.abs(np.array(asked[1:5]) - start), 0.08 * np.eye(4), atol=1e-12)


@pytest.mark.parametrize("levels", [2, 5, 8, 12])
def test_few_levels_are_all_tried_and_of_many_the_neighbours(levels: int) -> None:
    space = ParameterSpace([Parameter("smooth"), Parameter("levels", "stepped", levels=levels)])
    start = space.snap(np.array([0.5, 0.5]))
    asked, evaluate = watched(lambda points: (np.ones(len(points)), [torch.ones(3)] * len(points)))
    polished(space, start, evaluate)
    tried = {round(point[1] * (levels - 1)) for point in asked}
    middle = round(start[1] * (levels - 1))
    assert tried == (set(range(levels)) if levels <= 8 else {middle - 1, middle, middle + 1})


def test_settings_with_lists_are_found() -> None:
    space = ParameterSpace([Parameter("a"), Parameter("mode", "stepped", levels=4), Parameter("b")])
    modes = np.random.default_rng(2).standard_normal((4, 30))
    waves = np.random.default_rng(3).standard_normal((2, 30))

    def evaluate(points: FloatArray) -> Found:
        residuals = (points[:, [0, 2]] - [0.2, 0.9]) @ waves + modes[np.rint(3 * points[:, 1]).astype(int)] - modes[2]
        return np.abs(residuals).sum(axis=1), list(torch.from_numpy(residuals))

    polish = polished(space, space.snap(np.array([0.3, 0.0, 0.7])), evaluate, enough=1e-3)
    assert polish.best == pytest.approx([0.2, 2 / 3, 0.9], abs=1e-3)


def test_what_is_not_finite_is_stepped_around() -> None:
    def evaluate(points: FloatArray) -> Found:
        losses, residuals = linear(SLOPES, HIDDEN)(points)
        broken = points[:, 0] > 0.52
        return np.where(broken, np.inf, losses), [r * np.nan if b else r for r, b in zip(residuals, broken, strict=True)]

    polish = polished(FOUR, np.full(4, 0.51), evaluate, enough=1e-3)
    assert polish.best == pytest.approx(HIDDEN, abs=1e-3)
