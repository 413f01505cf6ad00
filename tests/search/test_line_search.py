"""Lines through a point: where they are rendered, and what they find."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from blackbox_grad import EffectSpec, Parameter, ParameterSpace, default_host
from blackbox_grad.audio_files import example
from blackbox_grad.losses import loss_for
from blackbox_grad.matching.objective import Objective
from blackbox_grad.search import LineSearch, Polish, Pursuit, drive

FloatArray = NDArray[np.float64]
TWO = ParameterSpace([Parameter("smooth"), Parameter("jagged")])


def jagged(points: FloatArray) -> FloatArray:
    """A bowl along the first parameter; along the second a hundred teeth, one of them deeper."""
    teeth = 0.2 * np.abs(np.sin(100 * np.pi * points[:, 1])) - np.clip(0.6 - 80 * np.abs(points[:, 1] - 0.8), 0.0, None)
    return (points[:, 0] - 0.3) ** 2 + teeth + 1.0


def searched(lines: LineSearch, renders: int) -> FloatArray:
    asked = []
    while len(asked) < renders:
        points = lines.ask(4)
        if not len(points):
            break
        lines.tell(points, jagged(points))
        asked += list(points)
    return np.array(asked)


def test_renders_go_where_the_loss_is_jagged_and_low() -> None:
    start = np.array([0.4, 0.1])
    lines = LineSearch(TWO, start, float(jagged(start[None])[0]))
    asked = searched(lines, 120)
    assert ((asked != start).sum(axis=1) == 1).all()
    on_jagged = asked[:, 0] == start[0]
    assert on_jagged.sum() > 5 * (~on_jagged).sum()
    assert abs(asked[jagged(asked).argmin(), 1] - 0.8) < 0.01
    assert len(np.unique(asked, axis=0)) == len(asked)
    first = lines.valleys()[0]
    assert first[0] == start[0]
    assert abs(first[1] - 0.8) < 0.01


def test_stepped_parameters_are_tried_at_their_levels_only() -> None:
    space = ParameterSpace([Parameter("switch", "stepped", levels=2), Parameter("many", "stepped", levels=30), Parameter("c")])
    start = space.snap(np.array([0.0, 0.5, 0.5]))
    lines, asked = LineSearch(space, start, 5.0), []
    for _ in range(60):
        points = lines.ask(3)
        lines.tell(points, np.abs(np.sin(40 * points).sum(axis=1)) + 1.0)
        asked += list(points)
    found = np.array(asked)
    np.testing.assert_array_equal(space.snap(found), found)
    assert len(np.unique(found, axis=0)) == len(found)
    assert (found[:, 0] == 1.0).sum() == 1


@pytest.mark.parametrize("loss", [np.inf, 0.0])
def test_losses_that_tell_nothing_end_it(loss: float) -> None:
    lines = LineSearch(TWO, np.array([0.5, 0.5]), loss)
    for _ in range(5):
        points = lines.ask(4)
        assert np.isfinite(points).all()
        lines.tell(points, np.full(len(points), loss))
    assert not len(lines.ask(4))


@pytest.mark.slow
def test_the_size_of_a_room_is_found_though_all_other_settings_are_wrong() -> None:
    audio, rate = example()
    audio = np.ascontiguousarray(audio[:1, : 3 * int(rate)])
    host = default_host()
    spec = EffectSpec.of("dawdreamer:http://drobilla.net/plugins/mda/Ambience", rate, "continuous")
    space = host.open(spec).parameters
    hidden, start = np.array([0.65, 0.75, 0.17, 0.55]), np.array([0.24, 0.02, 0.23, 0.55])
    target = host.render_batch(spec, audio[None], hidden[None])[0][0]
    objective = Objective(spec, host, audio, loss_for("mrstft", torch.from_numpy(target), rate))
    before = float(objective.evaluate(start[None])[0][0])
    drive(LineSearch(space, start, before), space, objective.evaluate, renders=130, at_once=8)
    assert objective.best_loss < 0.9 * before
    assert abs(objective.best_point[0] - hidden[0]) < 0.02
    # what the others make of it, while it stays there
    held = objective.best_point
    polish = Polish(space, held, held=0, patience=40)
    assert drive(polish, space, objective.evaluate, renders=1000, at_once=16)
    assert polish.best[0] == held[0]
    assert polish.lowest < 0.8 * before


@pytest.mark.slow
def test_a_pursuit_that_finds_nothing_better_looks_along_lines() -> None:
    best, on_grid = np.array([0.5, 0.5]), {}
    for patience in (None, 6):
        pursuit, proposed = Pursuit(TWO, patience=patience), []
        pursuit.tell(best[None], np.array([1.0]), [torch.ones(4)])
        for _ in range(12):
            points = pursuit.ask(2)
            proposed += list(points)
            pursuit.tell(points, *all_alike(points, 2.0))
        inner = {(0.5, eighth / 8) for eighth in range(1, 8)} | {(eighth / 8, 0.5) for eighth in range(1, 8)}
        on_grid[patience] = len(inner & {tuple(point.tolist()) for point in proposed})
    assert on_grid[6] >= 6
    assert on_grid[None] == 0


def all_alike(points: FloatArray, loss: float) -> tuple[FloatArray, list[torch.Tensor]]:
    """The results of sounds that are all the same."""
    return np.full(len(points), loss), [torch.full((4,), loss)] * len(points)


def test_what_was_found_on_lines_is_not_forgotten_and_other_proposals_take_their_place() -> None:
    pursuit = Pursuit(TWO, patience=2)
    random = np.random.default_rng(0)
    # more than an emulator keeps, all of them better than those on the lines
    near = 0.5 + 0.002 * random.standard_normal((140, 2))
    losses = 1.0 + np.abs(near - 0.5).sum(axis=1)
    pursuit.tell(near, losses, [torch.full((4,), float(loss)) for loss in losses])
    asked = []
    for _ in range(40):
        points = pursuit.ask(2)
        assert len(points) == 2
        asked += list(points)
        pursuit.tell(points, *all_alike(points, 2.0))
    best = near[losses.argmin()]
    on_lines = np.array([point for point in asked if (point == best).sum() == 1])
    assert len(on_lines) > 16
    assert len(np.unique(on_lines, axis=0)) == len(on_lines)  # what is known is not asked for again


def test_a_pursuit_can_be_copied() -> None:
    pursuit = Pursuit(TWO, patience=2)
    pursuit.tell(np.array([[0.5, 0.5]]), np.array([1.0]), [torch.ones(4)])
    first = pursuit.ask(2)
    pursuit.tell(first, *all_alike(first, 2.0))
    again = pickle.loads(pickle.dumps(pursuit))
    np.testing.assert_array_equal(again.ask(4), pursuit.ask(4))
