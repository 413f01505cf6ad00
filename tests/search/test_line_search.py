"""Lines through a point: where they are looked at, and what they find."""

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
from blackbox_grad.search import Emulator, LineSearch, Pursuit
from blackbox_grad.search.polish import Polish

FloatArray = NDArray[np.float64]
TWO = ParameterSpace([Parameter("smooth"), Parameter("jagged")])


def jagged(points: FloatArray) -> FloatArray:
    """A bowl along the first parameter; along the second a hundred teeth, one of them deeper."""
    teeth = 0.2 * np.abs(np.sin(100 * np.pi * points[:, 1])) - np.clip(0.6 - 80 * np.abs(points[:, 1] - 0.8), 0.0, None)
    return (points[:, 0] - 0.3) ** 2 + teeth + 1.0


def searched(lines: LineSearch, renders: int) -> FloatArray:
    asked = []
    while len(asked) < renders:
        points = lines.next(4)
        if not len(points):
            break
        lines.learn(points, jagged(points))
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
        points = lines.next(3)
        lines.learn(points, np.abs(np.sin(40 * points).sum(axis=1)) + 1.0)
        asked += list(points)
    found = np.array(asked)
    np.testing.assert_array_equal(space.snap(found), found)
    assert len(np.unique(found, axis=0)) == len(found)
    assert (found[:, 0] == 1.0).sum() == 1


@pytest.mark.parametrize("loss", [np.inf, 0.0])
def test_losses_that_tell_nothing_end_it(loss: float) -> None:
    lines = LineSearch(TWO, np.array([0.5, 0.5]), loss)
    for _ in range(5):
        points = lines.next(4)
        assert np.isfinite(points).all()
        lines.learn(points, np.full(len(points), loss))
    assert not len(lines.next(4))


def test_the_size_of_a_room_is_found_though_all_other_settings_are_wrong() -> None:
    audio, rate = example()
    audio = np.ascontiguousarray(audio[:1, : 3 * int(rate)])
    host = default_host()
    spec = EffectSpec.of("dawdreamer:http://drobilla.net/plugins/mda/Ambience", rate, "continuous")
    space = host.open(spec).parameters
    hidden, start = np.array([0.65, 0.75, 0.17, 0.55]), np.array([0.24, 0.02, 0.23, 0.55])
    target = host.render_batch(spec, audio[None], hidden[None])[0][0]
    objective = Objective(spec, space, host, audio, loss_for("mrstft", torch.from_numpy(target), rate))
    before = float(objective.evaluate(start[None])[0])
    lines = LineSearch(space, start, before)
    while objective.renders < 130:
        points = lines.next(8)
        lines.learn(points, objective.evaluate(points))
    assert objective.best_loss < 0.9 * before
    assert abs(objective.best_point[0] - hidden[0]) < 0.02
    # what the others make of it, while it stays there
    held = objective.best_point
    there, loss = Polish(held=0, patience=40).run(objective, held, lambda loss: None)
    assert there[0] == held[0]
    assert loss < 0.8 * before


def test_a_pursuit_that_finds_nothing_better_looks_along_lines() -> None:
    best, on_grid = np.array([0.5, 0.5]), {}
    for patience in (None, 6):
        emulator, proposed = Emulator(TWO), []
        pursuit = Pursuit(emulator, patience=patience)
        emulator.add(best[None], np.array([1.0]), [torch.ones(4)])
        for _ in range(12):
            points = pursuit.next(2)
            proposed += list(points)
            emulator.add(points, np.full(len(points), 2.0), [torch.full((4,), 2.0)] * len(points))
        inner = {(0.5, eighth / 8) for eighth in range(1, 8)} | {(eighth / 8, 0.5) for eighth in range(1, 8)}
        on_grid[patience] = len(inner & {tuple(point.tolist()) for point in proposed})
    assert on_grid[6] >= 6
    assert on_grid[None] == 0


def test_what_was_heard_on_lines_is_not_forgotten_and_other_proposals_take_their_place() -> None:
    emulator = Emulator(TWO)
    pursuit = Pursuit(emulator, patience=2)
    random = np.random.default_rng(0)
    # more than it remembers, all of them better than what is on the lines
    near = 0.5 + 0.002 * random.standard_normal((140, 2))
    emulator.add(near, 1.0 + np.abs(near - 0.5).sum(axis=1), [torch.full((4,), 1.0 + float(abs(n - 0.5).sum())) for n in near])
    for _ in range(40):
        points = pursuit.next(2)
        assert len(points) == 2
        emulator.add(points, np.full(len(points), 2.0), [torch.full((4,), 2.0)] * len(points))
    assert pursuit._lines is not None
    assert len(emulator) == 128
    known = np.concatenate([line.losses for line in pursuit._lines._lines])
    assert len(known) > 16
    assert np.isfinite(known).all()


def test_a_pursuit_can_be_copied() -> None:
    emulator = Emulator(TWO)
    pursuit = Pursuit(emulator, patience=2)
    emulator.add(np.array([[0.5, 0.5]]), np.array([1.0]), [torch.ones(4)])
    first = pursuit.next(2)
    emulator.add(first, np.array([2.0, 2.0]), [torch.full((4,), 2.0)] * 2)
    again = pickle.loads(pickle.dumps(pursuit))
    np.testing.assert_array_equal(again.next(4), pursuit.next(4))
