"""Pedalboard's own effects: the table of ranges, at every sample rate, and purity without a reset."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from blackbox_grad import load
from blackbox_grad.errors import EffectLoadError, EffectNotFoundError
from blackbox_grad_backends.pedalboard_builtin import EFFECTS, PedalboardBuiltinBackend

pedalboard = pytest.importorskip("pedalboard")

RATES = (8000.0, 16000.0, 44100.0, 48000.0, 96000.0, 192000.0)
#: Classes that are not effects by themselves: hosts of others, and a filter and a convolution that need coefficients.
NO_EFFECTS = {"Chain", "Mix", "Pedalboard", "Plugin", "PluginContainer", "ExternalPlugin", "VST3Plugin", "AudioUnitPlugin"}
NEED_ARRAYS = {"Convolution", "IIRFilter"}


def open_builtin(name: str, sample_rate: float = 44100.0):
    return PedalboardBuiltinBackend().open(name, sample_rate, {})


def test_the_table_has_all_effects_of_the_library():
    kinds = {n: k for n, k in vars(pedalboard).items() if isinstance(k, type) and issubclass(k, pedalboard.Plugin)}
    public = {n for n in kinds if not n.startswith("_")} - NO_EFFECTS - NEED_ARRAYS
    assert public <= set(EFFECTS)


@pytest.mark.parametrize("name", EFFECTS)
def test_the_table_has_all_parameters_of_an_effect_and_the_librarys_defaults(name):
    library = getattr(pedalboard, name)()
    attributes = {a for a in dir(type(library)) if isinstance(getattr(type(library), a), property)}
    effect = open_builtin(name)
    assert set(effect.parameters.names) == attributes - {"is_effect", "is_instrument"}
    for argument, value in effect.arguments(effect.parameters.defaults).items():
        expected = getattr(library, argument)
        assert value == (pytest.approx(expected, rel=1e-5, abs=1e-6) if isinstance(expected, float) else expected)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("name", EFFECTS)
def test_every_corner_of_the_box_is_valid_and_finite(name, sample_rate):
    if name == "MP3Compressor" and sample_rate not in (44100.0, 48000.0):
        with pytest.raises(EffectLoadError, match=f"not at {sample_rate:g} Hz"):
            open_builtin(name, sample_rate)
        return
    effect = open_builtin(name, sample_rate)
    audio = (0.5 * np.random.default_rng(0).standard_normal((2, 2000))).astype(np.float32)
    for corner in itertools.product((0.0, 1.0), repeat=len(effect.parameters)):
        result = effect.render(audio, corner)
        assert np.isfinite(result).all(), effect.parameters.to_text(corner)


@pytest.mark.parametrize("sample_rate", RATES)
def test_corner_frequencies_stay_below_nyquist(sample_rate):
    for name in EFFECTS:
        if name in ("MP3Compressor", "Resample"):
            continue
        for parameter in open_builtin(name, sample_rate).parameters:
            if parameter.unit == "Hz":
                assert parameter.maximum < sample_rate / 2, (name, parameter)


def test_names_are_found_in_any_case():
    assert load("pedalboard-builtin:reverb").name == "Reverb"
    assert load("Reverb").spec.address == "pedalboard-builtin:Reverb"
    with pytest.raises(EffectNotFoundError, match="did you mean 'Reverb'"):
        load("pedalboard-builtin:Revreb")


def test_options_are_refused():
    with pytest.raises(EffectLoadError, match="this effect has no presets"):
        load("pedalboard-builtin:Reverb", preset="hall")


def test_native_values_reach_the_library():
    effect = open_builtin("LadderFilter")
    point = effect.parameters.point({"mode": "HPF24", "cutoff_hz": "2 kHz", "drive": "4 native"})
    arguments = effect.arguments(point)
    assert arguments["mode"] == pedalboard.LadderFilter.Mode.HPF24
    assert arguments["cutoff_hz"] == pytest.approx(2000.0)
    assert arguments["drive"] == pytest.approx(4.0)
    audio = (0.25 * np.random.default_rng(0).standard_normal((2, 4096))).astype(np.float32)
    expected = pedalboard.LadderFilter(**arguments)(audio, 44100.0)
    assert np.array_equal(effect.render(audio, point), expected)


def test_channels_are_not_mixed():
    """Mono renders as mono, and more than two channels go straight through."""
    audio = (0.25 * np.random.default_rng(0).standard_normal((3, 1000))).astype(np.float32)
    effect = open_builtin("Distortion")
    whole = effect.render(audio, [0.4])
    for channel in range(3):
        assert np.array_equal(whole[channel : channel + 1], effect.render(audio[channel : channel + 1], [0.4]))


@pytest.mark.parametrize("name", EFFECTS)
def test_every_channel_is_processed_whatever_their_number(name):
    """Pedalboard's Reverb returns more than two channels as they came, and its MP3Compressor refuses them."""
    effect = open_builtin(name)
    rng = np.random.default_rng(0)
    audio = (0.5 * np.geomspace(1e-4, 1.0, 2048) * rng.standard_normal((64, 2048))).astype(np.float32)  # it opens gates
    point = rng.uniform(0.2, 0.8, size=len(effect.parameters))
    for channels in (1, 2, 3, 6, 8, 64):
        result = effect.render(audio[:channels], point)
        assert result.shape == (channels, 2048)
        assert not [c for c in range(channels) if np.array_equal(result[c], audio[c])], channels


@pytest.mark.parametrize("name", ["Reverb", "MP3Compressor"])
def test_what_takes_two_channels_takes_more_in_pairs(name):
    effect = open_builtin(name)
    audio = (0.25 * np.random.default_rng(0).standard_normal((5, 3000))).astype(np.float32)
    point = effect.parameters.defaults
    pairs = [effect.render(audio[start : start + 2], point) for start in (0, 2, 4)]
    assert np.array_equal(effect.render(audio, point), np.concatenate(pairs))
