"""`check_effect` finds each broken promise of an instrument, and nothing in one that keeps them."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad.effects import PluginEffect
from blackbox_grad.effects.packing import unpacked
from blackbox_grad.parameters import Parameter, ParameterSpace
from blackbox_grad.testing import EFFECT_LAWS, INSTRUMENT_LAWS, CheckFailed, check_effect

NOTE_ON, NOTE_OFF = 0x90, 0x80


class Organ(PluginEffect):
    """An instrument that keeps every promise: a sine a note, from its beginning to its end."""

    takes = "notes"
    zero_is_loud = sustains = foresees = False
    hum = 0.0

    def __init__(self) -> None:
        self.name, self.sample_rate, self.inputs, self.outputs = "test organ", 8000.0, 0, 1
        self.parameters = ParameterSpace([Parameter("Level")])

    def process(self, audio, values):
        messages, length = unpacked(audio, self.sample_rate), audio.shape[1]
        result = np.full(length, self.hum)
        began = {}
        rows = [(int(t), *map(int, d)) for t, d in zip(messages.times, messages.data, strict=True)]
        for time, status, pitch, velocity in [*rows, *((length, NOTE_OFF, pitch, 0) for pitch in range(128))]:
            if status in (NOTE_ON, NOTE_OFF) and pitch in began and not (self.sustains and time < length):
                start, loudness = began.pop(pitch)
                result[start:time] += loudness * np.sin(0.05 * pitch * np.arange(time - start))
            if status == NOTE_ON and (velocity or self.zero_is_loud) and pitch not in began:
                began[pitch] = time, (velocity or 64) / 512
        if self.foresees:
            result *= 1.0 + 0.01 * len(rows)
        return (values[0] * result)[None].astype(np.float32)


class Hums(Organ):
    hum = 0.1


class NeverEnds(Organ):
    sustains = True


class TakesVelocity0ForANote(Organ):
    zero_is_loud = True


class KnowsWhatComes(Organ):
    foresees = True


class KeepsItsVolume(Organ):
    volume = 1.0

    def process(self, audio, values):
        volume = self.volume
        for status, number, value in unpacked(audio, self.sample_rate).data.tolist():
            if (status, number) == (0xB0, 7):
                self.volume = value / 127
        return np.float32(volume) * super().process(audio, values)


class IsMute(Organ):
    def process(self, audio, values):
        return 0.0 * super().process(audio, values)


class IsOutOfBreath(Organ):
    left = 1.0

    def process(self, audio, values):
        self.left *= 0.99
        return np.float32(self.left) * super().process(audio, values)


BROKEN = {
    IsMute: "notes are heard",
    Hums: "silence without notes",
    NeverEnds: "a note ends",
    KnowsWhatComes: "nothing is heard before it begins",
    TakesVelocity0ForANote: "velocity 0 is silent",
    KeepsItsVolume: "controllers are forgotten",
    IsOutOfBreath: "equal items are equal",
}


def test_an_instrument_that_keeps_its_promises_passes():
    assert check_effect(Organ()).laws == tuple(name for name, _ in EFFECT_LAWS + INSTRUMENT_LAWS)


@pytest.mark.parametrize(("kind", "law"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_promise_is_found_and_named(kind, law):
    with pytest.raises(CheckFailed, match=f"test organ: law '{law}'"):
        check_effect(kind(), laws=[law])


def test_every_law_can_fail():
    assert set(BROKEN.values()) == {name for name, _ in INSTRUMENT_LAWS}


@pytest.mark.plugins
@pytest.mark.filterwarnings("ignore::blackbox_grad.errors.DeadParameterWarning")
@pytest.mark.parametrize("name", ["JX10", "DX10", "EPiano", "Piano"])
def test_real_instruments_keep_every_law_to_the_bit(name):
    found = check_effect(f"dawdreamer:http://drobilla.net/plugins/mda/{name}")
    assert found.repeatability == 0.0
