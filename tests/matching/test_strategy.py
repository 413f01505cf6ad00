"""The phases of the strategy, on functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.matching.strategy import Renders, Strategy, StrategyNumbers
from blackbox_grad.search import Found, drive

FloatArray = NDArray[np.float64]
TWO = ParameterSpace([Parameter("a", default=0.2), Parameter("b", default=0.2)])


def two_valleys(points: FloatArray) -> Found:
    """A broad one with the loss 1 at (0.3, 0.3), and a narrow, slanted one, `a = b + 0.2`, that falls to 0 at (0.8, 0.6).

    On the line through the lowest point of the first, the second is seen at (0.5, 0.3). With `a` held there, nothing is better
    than 1.2.
    """
    a, b = points.T
    broad = np.stack([np.ones(len(a)), 4 * (a - 0.3), 4 * (b - 0.3)], 1)
    narrow = np.stack([60 * (a - b - 0.2), 4 * (b - 0.6), np.zeros(len(a))], 1)
    losses = np.abs(broad).sum(1), np.abs(narrow).sum(1)
    residuals = np.where((losses[0] <= losses[1])[:, None], broad, narrow)
    return np.minimum(*losses), list(torch.from_numpy(residuals))


def alike(points: FloatArray) -> Found:
    """Nothing is better than anything else."""
    return np.ones(len(points)), [torch.ones(3)] * len(points)


def bowl(points: FloatArray) -> Found:
    residuals = points - 0.6
    return np.abs(residuals).sum(1), list(torch.from_numpy(residuals))


def searched(
    strategy: Strategy, space: ParameterSpace, function: Callable[[FloatArray], Found], renders: int = 1000
) -> tuple[list[tuple[str, FloatArray]], bool]:
    """Its phases in turn, with the settings rendered in each, `[N, P]`; whether it came to its end."""
    turns: list[tuple[str, FloatArray]] = []

    def evaluate(points: FloatArray) -> Found:
        if turns and turns[-1][0] == strategy.phase:
            turns[-1] = strategy.phase, np.concatenate([turns[-1][1], points])
        else:
            turns.append((strategy.phase, points))
        return function(points)

    ended = drive(strategy, space, evaluate, renders, 16)
    return turns, ended


def strategy_for(
    space: ParameterSpace, function: Callable[[FloatArray], Found], limit: int = 1000, seed: int = 0, **numbers: Any
) -> Strategy:
    return Strategy(space, seed, limit, function(space.defaults[None]), StrategyNumbers(**numbers))


#: Without an emulator, and with a few renders along lines.
PLAIN: dict[str, Any] = {"emulation": Renders(0, 0), "lines": Renders(8, 0)}


@pytest.mark.parametrize("seed", range(5))
def test_a_valley_that_is_nearly_as_good_as_the_best_is_polished_again_with_all_parameters_free(seed: int) -> None:
    strategy = strategy_for(TWO, two_valleys, seed=seed, emulation=Renders(0, 0))
    turns, ended = searched(strategy, TWO, two_valleys)
    assert ended
    assert [phase for phase, _ in turns] == ["search", "polish", "lines"], "one attempt was enough"
    assert two_valleys(turns[1][1])[0].min() == pytest.approx(1.0), "the polish alone ends in the broad valley"
    assert strategy.lowest < 1e-3


def test_a_valley_that_is_much_worse_is_not_polished_again() -> None:
    """It would lead to 0; but where its parameter is held, it leaves more than 1.1 of the best loss."""
    strategy = strategy_for(TWO, two_valleys, emulation=Renders(0, 0), near_best=1.1)
    turns, _ = searched(strategy, TWO, two_valleys, renders=100)
    assert [phase for phase, _ in turns] == ["search", "polish", "lines"]
    assert strategy.lowest == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("limit", "all_settings", "method"), [(9, 64, "all settings"), (8, 64, "emulator"), (100, 7, "emulator")]
)
def test_if_there_are_few_settings_all_are_rendered(limit: int, all_settings: int, method: str) -> None:
    """One of the renders was that of the defaults."""
    space = ParameterSpace([Parameter("shape", "stepped", levels=4), Parameter("on", "toggle")])
    strategy = strategy_for(space, bowl, limit, all_settings=all_settings)
    asked = strategy.ask(100)
    assert strategy.method == method
    if method == "all settings":
        wanted = [[shape / 3, on] for shape in range(4) for on in (0.0, 1.0)]
        np.testing.assert_allclose(asked[np.lexsort(asked.T[::-1])], wanted)
        strategy.tell(asked, *bowl(asked))
        assert not len(strategy.ask(100))


def test_without_free_parameters_nothing_is_asked_for_and_the_reason_is_said() -> None:
    strategy = Strategy(ParameterSpace([]), 0, 100, (np.ones(1), [torch.ones(3)]))
    assert strategy.ask(10).shape == (0, 0)
    assert "no parameter is free" in strategy.reason


@pytest.mark.parametrize(("parameters", "limit", "samples"), [(1, 1000, 6), (9, 1000, 11), (30, 1000, 16), (30, 40, 10)])
def test_an_attempt_begins_with_the_middle_and_so_many_quasi_random_settings(parameters: int, limit: int, samples: int) -> None:
    space = ParameterSpace([Parameter(f"p{i}") for i in range(parameters)])
    strategy = strategy_for(space, alike, limit, **PLAIN)
    (_, points), *_ = searched(strategy, space, alike, 30)[0]
    assert len(points) == samples == len(np.unique(points, axis=0))
    np.testing.assert_array_equal(points[0], np.full(parameters, 0.5))


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_attempts_in_a_row_that_bring_nothing_end_the_search(attempts: int) -> None:
    strategy = strategy_for(TWO, alike, attempts=attempts, **PLAIN)
    turns, ended = searched(strategy, TWO, alike)
    assert ended
    starts = [points for phase, points in turns if phase == "search"]
    assert len(starts) == attempts + 1, "the first one has brought something: the loss"
    assert len(np.unique(np.array(starts)[:, 1:].reshape(-1, 2), axis=0)) == (attempts + 1) * 5, "each has settings of its own"


def test_a_good_loss_needs_fewer_attempts() -> None:
    """Nothing is below 1; that is good, as the loss at the start is 200."""

    def floor(points: FloatArray) -> Found:
        start = (points == TWO.defaults).all(1)
        losses = np.where(start, 200.0, 1.0)
        return losses, [torch.tensor([loss]) for loss in losses.tolist()]

    strategy = strategy_for(TWO, floor, attempts=3, attempts_when_good=1, **PLAIN)
    turns, ended = searched(strategy, TWO, floor)
    assert ended
    assert [phase for phase, _ in turns].count("search") == 2


@pytest.mark.parametrize("start", [np.array([0.1, 0.9]), np.array([0.6, 0.6])])
def test_it_converges_at_a_small_part_of_the_loss_at_the_start(start: FloatArray) -> None:
    space = ParameterSpace([Parameter("a", default=start[0]), Parameter("b", default=start[1])])
    strategy = strategy_for(space, bowl)
    turns, ended = searched(strategy, space, bowl)
    assert ended
    assert strategy.method == "emulator"
    assert strategy.lowest <= 1e-4 * bowl(start[None])[0][0]
    assert sum(len(points) for _, points in turns) < 60
    assert [phase for phase, _ in turns].count("search") == 1


def test_what_is_not_finite_at_the_start_and_after_is_no_end() -> None:
    def cut(points: FloatArray) -> Found:
        losses, residuals = bowl(points)
        return np.where(points[:, 0] < 0.4, np.inf, losses), residuals

    strategy = strategy_for(TWO, cut, **PLAIN)
    assert strategy.lowest == np.inf
    searched(strategy, TWO, cut, 300)
    assert strategy.lowest < 0.01


@pytest.mark.parametrize("patience", [6, 15])
def test_renders_without_success_end_the_emulation(patience: int) -> None:
    strategy = strategy_for(TWO, alike, emulation=Renders(patience - 2, 1), lines=Renders(8, 0))
    turns, _ = searched(strategy, TWO, alike, 60)
    (phase, points), *_ = turns[1:]
    assert phase == "emulation"
    assert len(points) == patience


def test_lines_end_after_so_many_renders() -> None:
    for renders in (16, 24):
        strategy = strategy_for(TWO, jagged_floor, emulation=Renders(0, 0), lines=Renders(renders - 2, 1), valleys=0)
        turns, _ = searched(strategy, TWO, jagged_floor, 300)
        (count,) = [len(points) for phase, points in turns if phase == "lines"][:1]
        assert renders <= count < renders + 8, "they are asked for by eights"


def jagged_floor(points: FloatArray) -> Found:
    """Neither smooth nor anywhere good."""
    losses = 2.0 + np.sin(1e4 * points).sum(1) / 2
    return losses, [torch.tensor([loss]) for loss in losses.tolist()]
