"""A search written as one function, asked and told in parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.search import Found, Script, ScriptedSearcher

FloatArray = NDArray[np.float64]
SPACE = ParameterSpace([Parameter("smooth"), Parameter("levels", "stepped", levels=5)])
FIRST = np.array([[0.1, 0.0], [0.2, 0.3], [0.3, 1.0]])
SECOND = np.array([[0.9, 0.5], [0.8, 0.5]])


class Planned(ScriptedSearcher):
    """Asks for what it was given, one array after the other, and keeps what it was told."""

    def __init__(self, *wanted: FloatArray) -> None:
        super().__init__(SPACE)
        self.wanted = wanted
        self.begun = False
        self.told: list[Found] = []

    def script(self) -> Script:
        self.begun = True
        for points in self.wanted:
            self.told.append((yield points))


def found(points: FloatArray) -> Found:
    """Each loss and each residual is the first parameter."""
    return points[:, 0], [torch.tensor([first]) for first in points[:, 0].tolist()]


def test_a_script_is_not_run_before_the_first_ask() -> None:
    searcher = Planned(FIRST)
    assert not searcher.begun
    searcher.ask(1)
    assert searcher.begun


def test_settings_are_asked_for_in_parts_in_their_order_and_at_their_levels() -> None:
    searcher = Planned(FIRST)
    asked = [searcher.ask(2), searcher.ask(2), searcher.ask(2)]
    assert [len(points) for points in asked] == [2, 1, 0]
    np.testing.assert_array_equal(np.concatenate(asked), SPACE.snap(FIRST))
    assert asked[0][1, 1] == 0.25


@pytest.mark.parametrize("parts", [[3], [1, 2], [2, 1], [1, 1, 1]])
def test_a_script_goes_on_when_all_its_settings_are_told(parts: list[int]) -> None:
    searcher = Planned(FIRST, SECOND)
    points = searcher.ask(10)
    told = 0
    for part in parts:
        assert not searcher.told
        assert not len(searcher.ask(10)), "nothing is left to ask for before the rest is told"
        searcher.tell(points[told : told + part], *found(points[told : told + part]))
        told += part
    np.testing.assert_array_equal(searcher.ask(10), SPACE.snap(SECOND))
    ((losses, residuals),) = searcher.told
    np.testing.assert_array_equal(losses, FIRST[:, 0])
    assert [float(residual) for residual in residuals] == pytest.approx(FIRST[:, 0])


def test_what_was_asked_and_told_turn_by_turn_is_one_answer() -> None:
    searcher = Planned(FIRST, SECOND)
    for _ in FIRST:
        searcher.tell(points := searcher.ask(1), *found(points))
    np.testing.assert_array_equal(searcher.told[0][0], FIRST[:, 0])
    for _ in SECOND:
        searcher.tell(points := searcher.ask(1), *found(points))
    np.testing.assert_array_equal(searcher.told[1][0], SECOND[:, 0])
    assert not len(searcher.ask(1))


def test_a_script_that_wants_no_settings_is_sent_an_empty_answer_and_goes_on() -> None:
    nothing = np.empty((0, 2))
    searcher = Planned(nothing, FIRST, nothing, nothing, SECOND, nothing)
    points = searcher.ask(10)
    np.testing.assert_array_equal(points, SPACE.snap(FIRST))
    searcher.tell(points, *found(points))
    points = searcher.ask(10)
    np.testing.assert_array_equal(points, SPACE.snap(SECOND))
    searcher.tell(points, *found(points))
    assert [len(losses) for losses, _ in searcher.told] == [0, 3, 0, 0, 2, 0]
    assert all(len(losses) == len(residuals) for losses, residuals in searcher.told)


def test_at_its_end_none_are_asked_for() -> None:
    for searcher in (Planned(), Planned(np.empty((0, 2)))):
        for _ in range(2):
            assert searcher.ask(3).shape == (0, 2)
