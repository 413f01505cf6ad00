"""The loop that asks, renders and tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.errors import EstimatorError
from blackbox_grad.search import Found, drive

FloatArray = NDArray[np.float64]
SPACE = ParameterSpace([Parameter("smooth"), Parameter("levels", "stepped", levels=5)])


class Listed:
    """Asks for the settings of a list, and keeps how it was asked and what it was told."""

    def __init__(self, points: FloatArray) -> None:
        self.left = points
        self.counts: list[int] = []
        self.told: list[tuple[FloatArray, FloatArray]] = []

    def __repr__(self) -> str:
        return "Listed()"

    def ask(self, count: int) -> FloatArray:
        self.counts.append(count)
        points, self.left = self.left[:count], self.left[count:]
        return points

    def tell(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor]) -> None:
        assert len(points) == len(losses) == len(residuals)
        self.told.append((points, losses))


class Rendered:
    """Renders nothing; keeps where it was asked to."""

    def __init__(self) -> None:
        self.points: list[FloatArray] = []

    def __call__(self, points: FloatArray) -> Found:
        self.points += list(points)
        return points.sum(axis=1), list(torch.from_numpy(points))


def drawn(count: int) -> FloatArray:
    return np.random.default_rng(count).uniform(size=(count, 2))


@pytest.mark.parametrize("at_once", [1, 3, 4, 100])
@pytest.mark.parametrize("renders", [1, 5, 9, 10])
def test_renders_are_never_exceeded_and_used_up_before_it_stops(renders: int, at_once: int) -> None:
    searcher, rendered = Listed(drawn(11)), Rendered()
    assert not drive(searcher, SPACE, rendered, renders, at_once)
    assert len(rendered.points) == renders
    assert max(searcher.counts) <= at_once


@pytest.mark.parametrize("renders", [7, 8, 100])
def test_a_searcher_that_asks_for_nothing_more_has_come_to_its_end(renders: int) -> None:
    searcher, rendered = Listed(drawn(7)), Rendered()
    assert drive(searcher, SPACE, rendered, renders, 3)
    assert len(rendered.points) == 7


def test_without_renders_nothing_is_rendered() -> None:
    rendered = Rendered()
    assert not drive(Listed(drawn(3)), SPACE, rendered, 0, 3)
    assert drive(Listed(drawn(0)), SPACE, rendered, 0, 3)
    assert not rendered.points


def test_what_is_rendered_and_told_is_at_the_levels() -> None:
    searcher, rendered = Listed(drawn(8)), Rendered()
    drive(searcher, SPACE, rendered, 100, 3)
    wanted = SPACE.snap(drawn(8))
    np.testing.assert_array_equal(np.array(rendered.points), wanted)
    np.testing.assert_array_equal(np.concatenate([points for points, _ in searcher.told]), wanted)
    np.testing.assert_array_equal(np.concatenate([losses for _, losses in searcher.told]), wanted.sum(axis=1))


@pytest.mark.parametrize(
    ("outside", "said"),
    [([1.1, 0.5], r"Listed\(\).*'smooth'.*1\.1 is not in"), ([0.5, np.nan], r"Listed\(\).*'levels'.*nan is")],
)
def test_settings_that_cannot_be_rendered_are_refused(outside: list[float], said: str) -> None:
    rendered = Rendered()
    with pytest.raises(EstimatorError, match=said):
        drive(Listed(np.array([[0.5, 0.5], outside])), SPACE, rendered, 10, 10)
    assert not rendered.points


class Answers:
    """Asks for the same, whatever it is asked."""

    def __init__(self, points: object) -> None:
        self.points = points

    def __repr__(self) -> str:
        return "Answers()"

    def ask(self, count: int) -> object:
        return self.points

    def tell(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor]) -> None:
        raise AssertionError("nothing was rendered")


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (np.full((4, 2), 0.5), r"up to 3 settings, \[N, 2\], and returned \[4, 2\]"),
        (np.full(2, 0.5), r"up to 3 settings, \[N, 2\], and returned \[2\]"),
        ([[0.5, 0.5], [0.5]], "cannot be rendered"),
        ([["a", "b"]], "cannot be rendered"),
    ],
)
def test_a_searcher_that_answers_with_something_else_is_refused(points: object, said: str) -> None:
    rendered = Rendered()
    with pytest.raises(EstimatorError, match=rf"Answers\(\).*{said}"):
        drive(Answers(points), SPACE, rendered, 10, 3)  # type: ignore[arg-type]
    assert not rendered.points
