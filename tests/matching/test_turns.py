"""The strategy for many parameters, on functions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

import blackbox_grad
from blackbox_grad import Parameter, ParameterSpace, load, match
from blackbox_grad.matching.driver import Driver
from blackbox_grad.matching.objective import Objective
from blackbox_grad.matching.tidying import tidy
from blackbox_grad.matching.turns import TOGETHER, Turns
from blackbox_grad.search import Found, drive
from blackbox_grad_backends.native import lv2_bundles

FloatArray = NDArray[np.float64]

#: Bands with a switch, a gain and a frequency, and controls that change nothing.
BANDS, NOTHING = 12, 8
SPACE = ParameterSpace(
    [
        *(
            p
            for i in range(BANDS)
            for p in (Parameter(f"On {i}", "toggle", 0.0, 2), Parameter(f"Gain {i}"), Parameter(f"Place {i}"))
        ),
        *(Parameter(f"Nothing {i}") for i in range(NOTHING)),
    ]
)
PLACES = np.linspace(0.0, 1.0, 48)


def response(points: FloatArray) -> FloatArray:
    """`[N, 48]`: of an equaliser whose bands begin side by side, and move a little."""
    on, gain, place = (points[:, k : 3 * BANDS : 3, None] for k in range(3))
    middle = (np.arange(BANDS)[None, :, None] + 0.5) / BANDS + 0.1 * (place - 0.5)
    return np.asarray((on * (gain - 0.5) * np.exp(-(((PLACES - middle) / 0.05) ** 2))).sum(1))


def equaliser(points: FloatArray) -> Found:
    hidden = SPACE.defaults
    for band, gain, place in ((2, 0.9, 0.7), (6, 0.2, 0.4), (9, 0.8, 0.3)):
        hidden[3 * band : 3 * band + 3] = 1.0, gain, place
    residuals = response(points) - response(hidden[None])
    return np.abs(residuals).sum(1), list(torch.from_numpy(residuals))


def test_what_is_heard_is_polished_and_nothing_else() -> None:
    searcher = Turns(SPACE, 0, 200, equaliser(SPACE.defaults[None]))
    polished, before = [], np.inf

    def watched(points: FloatArray) -> Found:
        nonlocal before
        if searcher.phase == "polish":
            polished.append(points)
        elif not polished:
            before = searcher.lowest
        return equaliser(points)

    drive(searcher, SPACE, watched, 200, 16)
    points = np.concatenate(polished)
    off = np.repeat(points[0, : 3 * BANDS : 3] == 0.0, 3)
    moved = np.ptp(points, axis=0) > 0
    assert moved[: 3 * BANDS][~off].any()
    assert not moved[: 3 * BANDS][off].any()
    assert not moved[-NOTHING:].any()
    assert searcher.lowest < 0.8 * before


def test_it_ends_where_nothing_helps() -> None:
    def alike(points: FloatArray) -> Found:
        return np.ones(len(points)), [torch.ones(3)] * len(points)

    few = ParameterSpace(SPACE.everything[:4])
    start = np.ones(1), [torch.ones(3)]
    assert drive(Turns(few, 0, 150, start), few, alike, 150, 16)


class Function:
    """An objective of a function, for a `Driver`."""

    space, best_loss = SPACE, np.inf

    def __init__(self, limit: int) -> None:
        self.limit, self.renders, self.best_point = limit, 0, SPACE.defaults

    @property
    def left(self) -> int:
        return self.limit - self.renders

    def evaluate(self, points: FloatArray) -> Found:
        assert len(points) <= self.left
        self.renders += len(points)
        return equaliser(points)

    def settle(self, point: FloatArray, loss: float) -> None:
        self.best_point, self.best_loss = point, loss


@pytest.mark.parametrize("renders", [len(SPACE) + 8, 20, 3])
def test_settings_that_do_no_good_return_to_their_defaults(renders: int) -> None:
    """Those of bands that are off, and those that change nothing."""
    moved = np.random.default_rng(0).uniform(0.1, 0.9, len(SPACE))
    moved[: 3 * BANDS : 3] = 0.0
    for band, gain, place in ((2, 0.9, 0.7), (6, 0.2, 0.4), (9, 0.75, 0.3)):
        moved[3 * band : 3 * band + 3] = 1.0, gain, place
    objective = Function(renders)
    objective.settle(moved, float(equaliser(moved[None])[0][0]))
    before = objective.best_loss
    tidy(Driver(cast(Objective, objective), renders))
    found = objective.best_point
    assert float(equaliser(found[None])[0][0]) == objective.best_loss <= 1.001 * before
    idle = np.repeat(moved[: 3 * BANDS : 3] == 0.0, 3)
    at_default = (found == SPACE.defaults)[: 3 * BANDS]
    assert not at_default[~idle].any()
    if renders > len(SPACE):
        assert at_default[idle].all()
        assert (found == SPACE.defaults)[-NOTHING:].all()
    else:
        assert (found != moved).any() == (renders > 8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_turns_find_more_than_one_strategy_on_a_real_equaliser(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "http://calf.sourceforge.net/plugins/Equalizer12Band"
    if lv2_bundles.bundle_of(uri) is None:
        pytest.skip(f"{uri} is not installed")
    audio, rate = soundfile.read(Path(blackbox_grad.__file__).parent / "data" / "guitar.flac", dtype="float32", always_2d=True)
    begin = int(np.abs(audio).max(1).argmax()) - 1000
    x = np.tile(audio[begin : begin + int(rate)].T[:1], (2, 1))
    hidden: dict[str, float | str] = {
        "F2 Active": "on",
        "Level 2": 0.65,
        "Freq 2": 0.5,
        "F5 Active": "on",
        "Level 5": 0.4,
        "Freq 5": 0.7,
    }
    with load(f"dawdreamer:{uri}", rate, "all") as effect:
        y = effect.render(x, effect.parameters.point(hidden | {"HS Active": "on", "Level H": 0.6}))
    losses = []
    for together in (TOGETHER, 1000):
        monkeypatch.setattr(sys.modules["blackbox_grad.matching.method"], "TOGETHER", together)
        losses.append(match(f"dawdreamer:{uri}", x, y, rate, renders=430, seed=seed, host="in-process").loss)
    assert losses[0] < 0.9 * losses[1]
