"""`check_effect` finds each broken promise, and nothing in an effect that keeps them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from blackbox_grad.effects import EffectSpec, PluginEffect, opening
from blackbox_grad.errors import AudioError
from blackbox_grad.parameters import Parameter, ParameterSpace
from blackbox_grad.testing import EFFECT_LAWS, CheckFailed, check_effect, parametrize_with_checks


class Gain(PluginEffect):
    """An effect that keeps every promise, with one parameter that does nothing."""

    def __init__(self) -> None:
        self.name, self.sample_rate = "test gain", 8000.0
        self.inputs = self.outputs = 1
        self.parameters = ParameterSpace([Parameter("Gain"), Parameter("Lamp")])
        self.renders = 0

    def process(self, audio, values):
        self.renders += 1
        return audio * np.float32(values[0])


class RemembersTheLastGain(Gain):
    last = 0.5

    def process(self, audio, values):
        mean, self.last = 0.9 * values[0] + 0.1 * self.last, values[0]
        return audio * np.float32(mean)


class RemembersLoudAudio(Gain):
    loudest = 0.0

    def process(self, audio, values):
        self.loudest = max(self.loudest, float(np.abs(audio).max()))
        return audio * np.float32(values[0] * (0.9 if self.loudest > 2.0 else 1.0))


class TakesNoNoticeOfSmallChanges(Gain):
    kept = 0.5

    def process(self, audio, values):
        if abs(values[0] - self.kept) > 1.2e-7:
            self.kept = float(values[0])
        return audio * np.float32(self.kept)


class LosesTheWayToTheDefault(Gain):
    """Setting a parameter to its default does nothing; several at once are fine."""

    values = np.full(2, 0.5)

    def process(self, audio, values):
        changed = values != self.values
        if changed.sum() != 1 or values[changed][0] != 0.5:
            self.values = values
        return audio * np.float32(self.values.sum())


class Clears(Gain):
    def render(self, audio, point):
        result = super().render(audio, point)
        audio[:] = 0.0
        return result


class DropsTheEnd(Gain):
    def render(self, audio, point):
        return super().render(audio, point)[:, : audio.shape[1] // 16 * 16]


class Doubles(Gain):
    def render(self, audio, point):
        return super().render(audio, point).astype(np.float64)


class ReusesItsBuffer(Gain):
    def render(self, audio, point):
        result = super().render(audio, point)
        self.buffer = getattr(self, "buffer", None)
        if self.buffer is None or self.buffer.shape != result.shape:
            self.buffer = np.empty_like(result)
        self.buffer[:] = result
        return self.buffer


class DividesByLoudness(Gain):
    def process(self, audio, values):
        with np.errstate(invalid="ignore"):
            return audio / np.float32(np.abs(audio).max()) * np.float32(values[0])


class Clamps(Gain):
    def render(self, audio, point):
        return super().render(audio, np.clip(np.nan_to_num(point)[:2], 0.0, 1.0))


class LeavesItsLatencyIn(Gain):
    latency = 200

    def latency_at(self, values):
        return 0

    def process(self, audio, values):
        return np.pad(audio, ((0, 0), (200, 0)))[:, : audio.shape[1]]


class DefaultOutsideTheBox(Gain):
    def __init__(self) -> None:
        super().__init__()
        self.parameters = ParameterSpace(self.parameters.everything, held=[0.5, 1.5])


class ShowsLinearReadsLogarithmic(Parameter):
    def text(self, value):
        return f"{self.minimum + value * (self.maximum - self.minimum):.4g} {self.unit}"


class ShowsWhatItCannotRead(Parameter):
    def text(self, value):
        return "rather loud"


class ShowsAnotherValue(Gain):
    kind = ShowsLinearReadsLogarithmic

    def __init__(self) -> None:
        super().__init__()
        self.parameters = ParameterSpace([self.kind("Time", minimum=1.0, maximum=100.0, unit="ms", scale="log")])


class ShowsWords(ShowsAnotherValue):
    kind = ShowsWhatItCannotRead


class NamesNoLayout(Gain):
    layout = ""


class MixesItsChannels(Gain):
    """States one channel in, one out, and lets the left into the right."""

    layout = "1 in, 1 out"

    def __init__(self) -> None:
        super().__init__()
        self.inputs = self.outputs = 0

    def process(self, audio, values):
        return audio + audio[:1]


class TakesMonoAsLeft(Gain):
    layout = "2 in, 2 out"

    def __init__(self) -> None:
        super().__init__()
        self.inputs = self.outputs = 0

    def process(self, audio, values):
        return audio * np.float32([[0.5], [0.7], [0.5]])[: len(audio)]


class RefusesStereo(Gain):
    def render(self, audio, point):
        if len(audio) == 2:
            raise AudioError("mono only")
        return super().render(audio, point)


class PassesSixChannels(Gain):
    """What Pedalboard's Reverb does with more than two channels."""

    layout = "any number"

    def __init__(self) -> None:
        super().__init__()
        self.inputs = self.outputs = 0

    def process(self, audio, values):
        return super().process(audio, values) if len(audio) < 6 else audio.copy()


class PassesTheThirdChannel(PassesSixChannels):
    def process(self, audio, values):
        return np.concatenate([Gain.process(self, audio[:2], values), audio[2:]])


class LetsThreeChannelsMix(Gain):
    """States two in, two out, and mixes the third channel into the others."""

    layout = "2 in + 1 silent, 2 out"

    def __init__(self) -> None:
        super().__init__()
        self.inputs = self.outputs = 0

    def process(self, audio, values):
        return audio + audio[2:3] if len(audio) == 3 else audio.copy()


class IsMostlyNoise(Gain):
    repeatability = 1.44


BROKEN = {
    IsMostlyNoise: "it repeats",
    RefusesStereo: "shape and type are kept",
    PassesSixChannels: "no channel passes untouched",
    PassesTheThirdChannel: "no channel passes untouched",
    LetsThreeChannelsMix: "layout is adapted as stated",
    RemembersTheLastGain: "same bits after any history",
    TakesNoNoticeOfSmallChanges: "same bits after any history",
    RemembersLoudAudio: "same bits after any history",
    LosesTheWayToTheDefault: "each parameter returns",
    Clears: "input is not mutated",
    DropsTheEnd: "shape and type are kept",
    Doubles: "shape and type are kept",
    ReusesItsBuffer: "results are not reused",
    DividesByLoudness: "finite at the defaults",
    Clamps: "points outside the box are refused",
    DefaultOutsideTheBox: "defaults lie in the box",
    ShowsAnotherValue: "what is set is shown",
    ShowsWords: "what is set is shown",
    LeavesItsLatencyIn: "latency is taken out",
    NamesNoLayout: "layout is adapted as stated",
    MixesItsChannels: "layout is adapted as stated",
    TakesMonoAsLeft: "layout is adapted as stated",
}


def test_an_effect_that_keeps_its_promises_passes_and_its_dead_parameter_is_reported():
    result = check_effect(Gain())
    assert result.laws == tuple(name for name, _ in EFFECT_LAWS)
    assert (result.repeatability, result.dead) == (0.0, ("Lamp",))


@pytest.mark.parametrize(("kind", "law"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_promise_is_found_and_named(kind, law):
    with pytest.raises(CheckFailed, match=f"test gain: law '{law}'"):
        check_effect(kind(), laws=[law])


def test_every_law_can_fail():
    """Two laws have their own tests: a dead parameter is reported, and a spec may open another effect."""
    elsewhere = {"parameters reach the sound", "spec reopens the same effect"}
    assert set(BROKEN.values()) | elsewhere == {name for name, _ in EFFECT_LAWS}


def test_a_declared_repeatability_is_granted_and_held_to():
    effect = RemembersTheLastGain()
    with pytest.raises(CheckFailed) as caught:
        check_effect(effect)
    assert "declared repeatability 0" in str(caught.value)
    effect.repeatability = 10.0
    assert 0.0 < check_effect(effect, laws=["same bits after any history"]).repeatability <= 20.0
    effect.repeatability = 1e-9
    with pytest.raises(CheckFailed, match="declared repeatability 1e-09"):
        check_effect(effect)


class OpensAnother:
    def open(self, locator, sample_rate, options):
        return LeavesItsLatencyIn()


def test_a_spec_that_opens_another_effect_is_found(monkeypatch):
    monkeypatch.setattr(opening, "backend", lambda name: OpensAnother())
    effect = Gain()
    effect.spec = EffectSpec("test:gain", parameters="all")
    with pytest.raises(CheckFailed, match="in a twin opened from its spec"):
        check_effect(effect, laws=["spec reopens the same effect"])


def test_an_address_is_opened_with_all_its_parameters_and_checked():
    assert check_effect("reference:soft-clip").laws[0] == "same bits after any history"


def test_unknown_laws_are_refused():
    with pytest.raises(ValueError, match="no effect law 'purity'; there are: same bits"):
        check_effect(Gain(), laws=["purity"])


@parametrize_with_checks(["reference:gain", "reference:biquad"])
def test_the_decorator_makes_an_item_of_every_law(effect, check):
    check(effect)


@parametrize_with_checks(["reference:gain"], {"reference:gain": {"defaults lie in the box": "to show how"}})
def test_an_expected_failure_is_expected(effect, check):
    if check.keywords["laws"] == ("defaults lie in the box",):
        raise CheckFailed("as announced")


def test_the_kit_is_loaded_lazily():
    code = "import sys, blackbox_grad.testing as t; t.check_effect; print({'torch', 'pytest', 'hypothesis'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
