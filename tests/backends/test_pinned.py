"""A parameter that the caller fixes never leaves its value, not even while the effect is opened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from blackbox_grad import Parameter, ParameterSpace, load
from blackbox_grad_backends.dawdreamer_graph import Graph
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.pinned import pinned
from blackbox_grad_backends.pedalboard_effect import PedalboardPluginEffect

SPACE = ParameterSpace([Parameter("Gain", default=0.5), Parameter("Type", "stepped", 0.0, 3, choices=("a", "b", "c"))])


def test_names_become_positions_and_texts_values() -> None:
    assert pinned({"Gain": 0.25, "Type": "b"}, SPACE) == {0: 0.25, 1: 0.5}
    assert pinned({"Gian": 0.25, "Type": "d", "Gain": 2.0}, SPACE) == {}, "the core raises an error for these"
    assert pinned({}, SPACE) == {}


@pytest.mark.plugins
def test_dawdreamer_never_moves_what_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[int, float]] = []
    render = Graph.render

    def watched(self: Graph, audio: Any, settings: Any, moving: Any = ()) -> Any:
        seen.append(dict(settings := list(settings)))
        return render(self, audio, settings, moving)

    monkeypatch.setattr(Graph, "render", watched)
    with load("dawdreamer:urn:zamaudio:ZamDelay", fixed={"Time": "500 ms"}) as effect:
        held = effect.parameters.names
        audio = np.ones((1, 512), np.float32)
        effect.render(audio, np.zeros(len(held)))
    varied = {i for i in seen[0] if len({settings.get(i) for settings in seen}) > 1}
    assert len(seen) > 20
    assert len(varied) == len(seen[0]) - 1


@pytest.mark.plugins
def test_pedalboard_never_moves_what_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[float]] = []
    numbers = PedalboardPluginEffect.numbers

    def watched(self: PedalboardPluginEffect, values: Any) -> list[float]:
        seen.append(numbers(self, values))
        return seen[-1]

    monkeypatch.setattr(PedalboardPluginEffect, "numbers", watched)
    with load("pedalboard:ZamDelay.vst3", fixed={"Time": 0.25}) as effect:
        position = [p.name for p in effect.parameters.everything].index("Time")
        effect.render(np.ones((1, 512), np.float32), np.zeros(len(effect.parameters)))
    assert {values[position] for values in seen} == {0.25}
    assert len({values[0 if position else 1] for values in seen}) > 1


@pytest.mark.plugins
def test_what_was_learnt_with_one_value_is_not_used_with_another() -> None:
    with load("pedalboard:ZamDelay.vst3", fixed={"Time": 0.25}) as effect:
        learnt = dict(effect.spec.learnt)["measured"]
        assert [value for _, value in learnt["pinned"]] == [0.25]
        with load(replace(effect.spec, fixed=(("Time", 0.75),))) as other:
            again = dict(other.spec.learnt)["measured"]
            assert [value for _, value in again["pinned"]] == [0.75]


@pytest.mark.plugins
@pytest.mark.slow
def test_a_corner_that_is_fixed_away_takes_nothing_from_the_rest() -> None:
    """ZynReverb throws at the largest rooms."""
    if plugin_folders.find("ZynReverb.so", "vst2") is None:
        pytest.skip("zynaddsubfx-vst is not installed")
    with load("dawdreamer:ZynReverb.so", parameters="all") as effect:
        assert "'Room size' goes from 1 to " in effect.notes[0]
    with load("dawdreamer:ZynReverb.so", parameters="all", fixed={"Room size": 0.5}) as effect:
        assert effect.notes == ()
        assert effect.parameters.held[effect.parameters.everything.index(_named(effect.parameters, "Room size"))] == 0.5


def _named(space: ParameterSpace, name: str) -> Parameter:
    return next(p for p in space.everything if p.name == name)
