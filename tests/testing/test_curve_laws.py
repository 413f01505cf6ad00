"""`check_effect` finds each broken promise of settings that move, and nothing in an effect that keeps them."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad.effects import PluginEffect
from blackbox_grad.effects.automation import AutomatedEffect
from blackbox_grad.effects.curves import Curves
from blackbox_grad.effects.opening import SelectedEffect
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.parameters import Parameter, ParameterSpace
from blackbox_grad.testing import CURVE_LAWS, CheckFailed, check_effect

RATE = 8000.0


class Leaky(PluginEffect):
    """Keeps every promise: a leaky sum of its input, whose level moves every 100 samples."""

    curve_block = 100
    early = 0
    splits = forgets = shortens = deaf = False

    def __init__(self) -> None:
        self.name, self.sample_rate, self.inputs, self.outputs = "test leak", RATE, 1, 1
        self.parameters = ParameterSpace([Parameter("Level")])

    def process(self, audio, values):
        return self._sum(audio, np.full(audio.shape[1], values[0]), np.arange(0))

    def process_curves(self, audio, values, moves):
        levels = np.repeat(moves.values[0], moves.block)[: audio.shape[1]]
        if self.deaf:
            levels = np.full_like(levels, values[0])
        changes = np.flatnonzero(np.diff(levels)) + 1
        if self.early:
            levels = np.append(levels[self.early :], np.full(min(self.early, len(levels)), levels[-1]))
        return self._sum(audio, levels, changes if self.forgets else np.arange(0)) * (1.01 if self.splits else 1.0)

    def _sum(self, audio, levels, resets):
        result, state = np.zeros_like(audio), 0.0
        starts = set(resets.tolist())
        for i, sample in enumerate(audio[0].tolist()):
            state = sample + 0.999 * (0.0 if i in starts else state)
            result[0, i] = levels[i] * state
        return result

    def render(self, audio, point):
        return super().render(audio, point)


class IsEarly(Leaky):
    early = 150


class SoundsDifferentInBlocks(Leaky):
    splits = True


class ForgetsAtChanges(Leaky):
    forgets = True


class HearsNoCurve(Leaky):
    deaf = True


class ChangesBetweenBlocks(Leaky):
    early = 30


class ReturnsLess(Leaky):
    def render_curves(self, audio, values):
        return super().render_curves(audio, values)[:, : max(1, audio.shape[1] - 1)]


def moving(kind: type[Leaky]) -> SelectedEffect:
    spec = EffectSpec("test:leak", RATE)
    plain = kind()
    still = SelectedEffect(plain, plain.parameters, spec)
    effect = AutomatedEffect(still, Curves((), 4, 0.15))
    return SelectedEffect(effect, effect.parameters, spec)


def check(kind: type[Leaky]) -> None:
    check_effect(moving(kind), laws=[name for name, _ in CURVE_LAWS], seconds=0.15)


def test_an_effect_that_keeps_them_passes() -> None:
    check(Leaky)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (IsEarly, "what is heard before"),
        (SoundsDifferentInBlocks, "what is heard before"),
        (ForgetsAtChanges, "make a relative difference of"),
        (HearsNoCurve, "no knot of any curve is heard"),
        (ChangesBetweenBlocks, "change what was before"),
        (ReturnsLess, "came back as|relative error inf"),
    ],
)
def test_a_broken_promise_is_found(kind: type[Leaky], says: str) -> None:
    with pytest.raises(CheckFailed, match=says):
        check(kind)


def test_the_laws_are_for_effects_that_move() -> None:
    with pytest.raises(CheckFailed, match="its settings do not move; check Automated"):
        check_effect("reference:gain", laws=[CURVE_LAWS[0][0]])
