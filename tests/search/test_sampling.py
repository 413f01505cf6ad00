"""Quasi-random settings, and the best of some that differ."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.search import Sampling, distinct

FloatArray = NDArray[np.float64]
MIXED = ParameterSpace([Parameter("smooth"), Parameter("levels", "stepped", levels=5), Parameter("on", "toggle")])


def asked(sampling: Sampling, *counts: int) -> FloatArray:
    return np.concatenate([sampling.ask(count) for count in counts])


@pytest.mark.parametrize("levels", [2, 3, 5, 12])
def test_levels_get_equal_shares(levels: int) -> None:
    """The outer ones too, which rounding gives half a share."""
    space = ParameterSpace([Parameter("smooth"), Parameter("levels", "stepped", levels=levels)])
    points = Sampling(space, seed=0).ask(1024)
    values, counts = np.unique(points[:, 1], return_counts=True)
    assert len(values) == levels
    np.testing.assert_allclose(values, np.linspace(0.0, 1.0, levels))
    np.testing.assert_allclose(counts / 1024, 1.0 / levels, atol=0.01)


def test_points_fill_the_box_more_evenly_than_random_ones() -> None:
    """Every interval of a 64th has its point; of as many random ones, a third of the intervals has none."""
    space = ParameterSpace([Parameter("a"), Parameter("b"), Parameter("c")])
    points = Sampling(space, seed=3).ask(64)
    assert all(len(np.unique(np.floor(64 * column))) == 64 for column in points.T)


def test_the_middle_comes_first_and_once() -> None:
    sampling, plain = Sampling(MIXED, seed=1, middle=True), Sampling(MIXED, seed=1)
    assert not len(sampling.ask(0))
    points = asked(sampling, 1, 3, 4)
    np.testing.assert_array_equal(points[0], MIXED.snap(np.full(3, 0.5)))
    np.testing.assert_array_equal(points[1:], plain.ask(7))
    np.testing.assert_array_equal(Sampling(MIXED, seed=1, middle=True).ask(8), points)


def test_it_does_not_matter_how_many_are_asked_for_at_once() -> None:
    np.testing.assert_array_equal(asked(Sampling(MIXED, seed=5), 3, 0, 5), Sampling(MIXED, seed=5).ask(8))


def test_seeds_differ_and_what_is_told_is_not_learnt() -> None:
    first = Sampling(MIXED, seed=1).ask(16)
    assert not np.array_equal(first, Sampling(MIXED, seed=2).ask(16))
    told = Sampling(MIXED, seed=1)
    told.tell(first[:4], np.zeros(4), [])
    np.testing.assert_array_equal(told.ask(16), first)


def test_distinct_settings_are_the_best_that_differ() -> None:
    points = np.array([[0.0, 0.0], [0.1, 0.1], [0.5, 0.5], [0.55, 0.5], [1.0, 1.0]])
    losses = np.array([3.0, 2.0, 5.0, 4.0, 1.0])
    # nearer than 0.2 · √2 to a better one are the first and the third
    np.testing.assert_array_equal(distinct(points, losses, 5, apart=0.2), points[[4, 1, 3]])
    np.testing.assert_array_equal(distinct(points, losses, 2, apart=0.2), points[[4, 1]])
    assert len(distinct(points, losses, 5, apart=0.01)) == 5
    by_a_tenth = distinct(np.array([[0.0, 0.0], [0.09, 0.09], [0.2, 0.2]]), np.arange(3.0), 3)
    assert len(by_a_tenth) == 2, "what is nearer than 0.1 · √2 to a better one is left out"


def test_of_equal_settings_the_first_come_first() -> None:
    points = np.random.default_rng(0).uniform(size=(100, 2))
    np.testing.assert_array_equal(distinct(points, np.ones(100), 3, apart=0.0), points[:3])


def test_of_settings_without_a_loss_the_first_is_all() -> None:
    points = np.array([[0.2, 0.2], [0.9, 0.9], [0.5, 0.1]])
    np.testing.assert_array_equal(distinct(points, np.array([np.inf, 2.0, np.inf]), 3), points[[1]])
    np.testing.assert_array_equal(distinct(points, np.full(3, np.inf), 3), points[[0]])
    assert distinct(np.empty((0, 2)), np.empty(0), 3).shape == (0, 2)
