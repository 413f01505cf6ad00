"""Proposals in turn, and when lines are searched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.search import Found, Pursuit

FloatArray = NDArray[np.float64]
TWO = ParameterSpace([Parameter("a"), Parameter("b")])
MIDDLE = np.array([0.5, 0.5])


def alike(points: FloatArray, loss: float = 2.0) -> Found:
    return np.full(len(points), loss), [torch.full((4,), loss / 4)] * len(points)


def on_a_line(points: FloatArray, through: FloatArray) -> NDArray[np.bool_]:
    """`[N, P]` -> `[N]`: whether one parameter alone differs, and is a multiple of an eighth: a line begins with these."""
    moved = points != through
    return (moved.sum(axis=1) == 1) & ((8 * points) % 1 == 0)[np.arange(len(points)), moved.argmax(axis=1)]


def searching_lines() -> Pursuit:
    """One that has found nothing better than the middle, and has asked for the first settings on lines through it."""
    pursuit = Pursuit(TWO, patience=4)
    pursuit.tell(MIDDLE[None], *alike(MIDDLE[None], 1.0))
    for _ in range(20):
        points = pursuit.ask(2)
        pursuit.tell(points, *alike(points))
        if on_a_line(points, MIDDLE).sum():
            return pursuit
    raise AssertionError("it never looked along lines")


def asked(pursuit: Pursuit, count: int) -> FloatArray:
    found = []
    for _ in range(count):
        points = pursuit.ask(2)
        pursuit.tell(points, *alike(points))
        found += list(points)
    return np.array(found)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_it_proposes_as_many_settings_as_are_asked_for_with_and_without_lines(count: int) -> None:
    fresh = Pursuit(TWO)
    assert fresh.ask(count).shape == (count, 2), "before anything is known"
    fresh.tell(MIDDLE[None], *alike(MIDDLE[None], 1.0))
    for pursuit in (fresh, searching_lines()):
        for _ in range(3):
            points = pursuit.ask(count)
            assert points.shape == (count, 2)
            assert ((points >= 0.0) & (points <= 1.0)).all()
            pursuit.tell(points, *alike(points))


def test_every_second_proposal_is_on_a_line_where_nothing_helps() -> None:
    points = asked(searching_lines(), 6)
    assert on_a_line(points, MIDDLE).sum() == 6


def test_after_a_success_on_a_line_the_lines_are_searched_on() -> None:
    pursuit = searching_lines()
    better = np.array([0.5, 0.1])
    pursuit.tell(better[None], *alike(better[None], 0.5))
    assert on_a_line(asked(pursuit, 4), MIDDLE).sum() >= 4


def test_after_a_success_elsewhere_they_are_not() -> None:
    pursuit = searching_lines()
    better = np.array([0.3, 0.1])
    pursuit.tell(better[None], *alike(better[None], 0.5))
    points = asked(pursuit, 2)
    assert not on_a_line(points, MIDDLE).any()
    # then through the new best, if that does not help
    later = asked(pursuit, 4)
    assert not on_a_line(later, MIDDLE).any()
    assert on_a_line(later, better).sum() >= 3


def test_it_knows_the_best_of_all_that_it_was_told() -> None:
    pursuit = Pursuit(TWO)
    assert pursuit.lowest == np.inf
    points = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    pursuit.tell(points, np.array([2.0, 1.0, np.inf]), [torch.ones(4)] * 3)
    assert pursuit.lowest == 1.0
    np.testing.assert_array_equal(pursuit.best, points[1])


def test_it_finds_the_minimum_of_smooth_residuals() -> None:
    waves = np.random.default_rng(0).standard_normal((2, 40))
    hidden = np.array([0.27, 0.81])

    def evaluate(points: FloatArray) -> Found:
        residuals = np.sin(3 * points @ waves) - np.sin(3 * hidden @ waves)
        return np.abs(residuals).sum(axis=1), list(torch.from_numpy(residuals))

    pursuit = Pursuit(TWO, seed=1)
    for _ in range(8):
        points = pursuit.ask(3)
        pursuit.tell(points, *evaluate(points))
    assert pursuit.best == pytest.approx(hidden, abs=0.01)
