"""Faust programs that play notes: their controls, their voices, and the laws of instruments."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blackbox_grad import DifferentiableEffect, InProcessHost, Notes, load
from blackbox_grad.errors import EffectLoadError
from blackbox_grad.testing import check_effect

pytest.importorskip("dawdreamer")

#: Two waves through a low-pass, with controls in groups and in other scripts, and an effect behind all voices.
SYNTH = """
import("stdfaust.lib");
freq = hslider("freq", 440, 20, 20000, 0.01);
gain = hslider("gain", 0.5, 0, 1, 0.001);
gate = button("gate");
cutoff = hslider("cutoff[unit:Hz][scale:log]", 2000, 50, 15000, 0.1);
release = hslider("h:Größe/release[unit:s]", 0.2, 0.01, 2, 0.001);
wave = nentry("wave[style:menu{'saw':0;'square':1}]", 0, 0, 1, 1);
process = select2(wave, os.sawtooth(freq), os.square(freq)) * gain * en.adsr(0.01, 0.1, 0.7, release, gate) : fi.lowpass(2, cutoff);
effect = _ <: _, @(hslider("late[unit:samples]", 100, 0, 1000, 1));
"""

BEEP = """
import("stdfaust.lib");
process = os.osc(ba.midikey2hz(hslider("key", 60, 0, 127, 1))) * hslider("vel", 100, 0, 127, 1) / 127 * button("gate");
"""


@pytest.fixture(scope="module")
def synth():
    with load(f"faust:{SYNTH}", parameters="all") as effect:
        yield effect


def test_every_law_of_effects_and_instruments_holds(synth):
    check = check_effect(synth)
    assert check.repeatability == 0.0
    assert check.dead == ()
    assert "a note ends" in check.laws


def test_what_notes_set_is_no_parameter(synth):
    assert (synth.takes, synth.layout, synth.repeatability) == ("notes", "notes in, 2 out", 0.0)
    assert {p.name: (p.kind, p.unit, p.scale) for p in synth.parameters} == {
        "cutoff": ("continuous", "Hz", "log"),
        "release": ("continuous", "s", "linear"),
        "wave": ("stepped", "", "linear"),
        "late": ("continuous", "samples", "linear"),
    }
    with load(f"faust:{BEEP}") as beep:
        assert len(beep.parameters) == 0


def test_pitch_velocity_and_time_of_a_note_are_played_to_the_sample():
    rate, start = 44100.0, 1234
    with load(f"faust:{BEEP}") as beep:
        y = beep.render(Notes([("A4", 127, start / rate, 0.5)], 1.0), [])[0]
        soft = beep.render(Notes([("A4", 64, start / rate, 0.5)], 1.0), [])[0]
    sounding = np.flatnonzero(y)
    assert start <= sounding[0] <= start + 1
    assert abs(sounding[-1] - start - 0.5 * rate) <= 2
    spectrum = np.abs(np.fft.rfft(y))
    assert abs(spectrum.argmax() - 440) <= 1
    np.testing.assert_allclose(soft, y * 64 / 127, atol=1e-3)


def test_voices_sound_together_and_a_further_note_takes_the_voice_of_another():
    def peaks(**options):
        with load(f"faust:{BEEP}", **options) as beep:
            y = beep.render(Notes([("C4", 100, 0.0, 1.0), ("E4", 100, 0.2, 1.0)], 1.0), [])[0]
        spectrum = np.abs(np.fft.rfft(y[22050:]))
        return [float(spectrum[round(hz / 2) - 2 : round(hz / 2) + 3].max()) for hz in (261.6, 329.6)]

    low, high = peaks()
    assert low > 0.5 * high
    low, high = peaks(voices=1)
    assert low < 0.1 * high


def test_what_is_no_instrument_says_what_one_has():
    with pytest.raises(EffectLoadError, match="is a generator, not an effect.* an instrument has a button 'gate' too"):
        load('faust:import("stdfaust.lib"); process = os.osc(440);')
    with pytest.raises(EffectLoadError, match="voices= is for instruments, and this is an effect"):
        load("faust:process = _;", voices=3)
    with pytest.raises(EffectLoadError, match="voices=0: an instrument has a whole number of voices, 1 to 128"):
        load(f"faust:{BEEP}", voices=0)


def test_a_layer_has_a_gradient():
    layer = DifferentiableEffect(f"faust:{SYNTH}", parameters=["cutoff", "release"], host=InProcessHost())
    p = torch.tensor([[0.4, 0.5]], requires_grad=True)
    y = layer(Notes.one("C3", 0.2).lasting(0.4), p)
    assert y.shape == (1, 2, 17640)
    y.square().mean().backward()
    assert (p.grad != 0).all()
