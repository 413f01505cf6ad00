"""The result is as loud as its input, and the gains that are said make it from the settings."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from command_line import succeed_here

from blackbox_grad import audio_files, load
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.loudness import loudness
from blackbox_grad_adapters.style_matching.matching.level import FULL, output_gain
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher

DRIVE = "pedalboard-builtin:Distortion"
RATE = 24_000


def guitar(start, seconds, channels=1, rate=RATE):
    audio, own = audio_files.example()
    return audio_files.resample(audio[:channels], own, rate)[:, int(start * rate) : int((start + seconds) * rate)]


def applied(y, decibels):
    return y * np.float32(10.0 ** (decibels / 20.0))


@pytest.fixture(scope="module")
def matcher():
    """With weights of the package."""
    return StyleMatcher.load(DRIVE, "in-process")


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.4, 4.0])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("quiet", [0.0, -70.0])
def test_a_result_is_as_loud_as_its_input(seconds, channels, quiet):
    x = applied(guitar(0.5, seconds, channels), -12.0 + quiet)
    y = np.tanh(20.0 * guitar(0.5, seconds, channels))
    gain, quieter = output_gain(y, x, RATE, "loudness")
    assert quieter == 0.0
    raised = [
        loudness(applied(a, -quiet), RATE) for a in (applied(y, gain), x)
    ]  # the gates treat quiet recordings as loud ones
    assert raised[0] == pytest.approx(raised[1], abs=0.02)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (6, 24_000)])
def test_any_shape_has_a_loudness(shape):
    x = np.random.default_rng(0).normal(0.0, 0.1, shape).astype(np.float32)
    assert loudness(0.5 * x, RATE) == pytest.approx(loudness(x, RATE) - 20.0 * math.log10(2.0), abs=0.01)
    assert output_gain(0.5 * x, x, RATE, "loudness")[0] == pytest.approx(20.0 * math.log10(2.0), abs=0.01)


def test_loudness_is_that_of_the_standard():
    """A sine of 997 Hz at full scale has -3.01 LUFS (BS.1770-4)."""
    sine = np.sin(2.0 * np.pi * 997.0 * np.arange(4 * 48_000) / 48_000).astype(np.float32)[None]
    assert loudness(sine, 48_000) == pytest.approx(-3.01, abs=0.05)
    assert loudness(sine[:, :9600], 48_000) == pytest.approx(-3.01, abs=0.1)
    assert loudness(0.0 * sine, 48_000) == -math.inf


@pytest.mark.parametrize("loud", [1.0, 4.0])
def test_no_sample_passes_full_scale_and_the_difference_is_said(loud):
    """Clicks have peaks far above their loudness."""
    x = loud * np.tanh(20.0 * guitar(0, 3))
    y = np.zeros_like(x)
    y[:, ::2400] = 0.5
    gain, quieter = output_gain(y, x, RATE, "loudness")
    assert np.abs(applied(y, gain)).max() == pytest.approx(FULL, abs=1e-5)
    assert np.abs(applied(y, gain)).max() <= 1.0
    assert loudness(applied(y, gain), RATE) == pytest.approx(loudness(x, RATE) - quieter, abs=0.05)
    assert quieter > 3.0


def test_other_levels_are_the_peak_and_none():
    x, y = guitar(0, 1), np.tanh(20.0 * guitar(0, 1))
    assert np.abs(applied(y, output_gain(y, x, RATE, "peak")[0])).max() == pytest.approx(np.abs(x).max(), rel=1e-4)
    assert output_gain(y, x, RATE, "none") == (0.0, 0.0)
    assert output_gain(0.0 * y, x, RATE, "loudness") == (0.0, 0.0)
    with pytest.raises(AudioError, match="level='rms' is unknown; allowed are 'loudness', 'peak', 'none'"):
        output_gain(y, x, RATE, "rms")


@pytest.mark.parametrize("level", ["loudness", "peak", "none"])
@pytest.mark.parametrize("quieter", [1.0, 0.05])
def test_gain_effect_and_gain_give_the_result(matcher, level, quieter):
    """What somebody does in a DAW: the gain before, the settings, the gain after."""
    x, reference = quieter * guitar(0, 2), np.tanh(8.0 * guitar(2, 2))
    found = matcher.match(x, reference, RATE, level=level)
    with load(DRIVE, RATE) as effect:
        y = applied(effect.render(applied(x, found.gain), found.p), found.output_gain)
    np.testing.assert_allclose(y, found.y, atol=1e-4 * np.abs(found.y).max())
    if level == "loudness":
        assert loudness(found.y / quieter, RATE) == pytest.approx(loudness(x / quieter, RATE), abs=0.05)
        assert "as loud as the input" in found.levels()


def test_files_of_the_command_give_the_result_with_the_gains_that_they_say(tmp_path, monkeypatch, capsys):
    """The settings through `render`, and the preset in Pedalboard itself."""
    monkeypatch.chdir(tmp_path)
    audio_files.write("in.wav", guitar(0, 2), RATE)
    audio_files.write("ref.wav", np.tanh(8.0 * guitar(2, 2)), RATE)
    outputs = ["-o", "out.wav", "--parameters", "set.json", "--save-preset", "preset.py", "--host", "in-process"]
    succeed_here(capsys, "style", "match", DRIVE, "in.wav", "ref.wav", *outputs)
    said = json.loads((tmp_path / "set.json").read_text())
    audio_files.write("before.wav", applied(guitar(0, 2), said["input_gain_db"]), RATE)
    succeed_here(capsys, "render", DRIVE, "before.wav", "after.wav", "--parameters", "set.json", "--host", "in-process")
    expected = audio_files.read("out.wav")[0]
    by_settings = applied(audio_files.read("after.wav")[0], said["output_gain_db"])
    np.testing.assert_allclose(by_settings, expected, atol=1e-3 * np.abs(expected).max())
    made: dict = {}
    exec((tmp_path / "preset.py").read_text(), made)
    by_preset = applied(made["effect"](audio_files.read("before.wav")[0], RATE), said["output_gain_db"])
    np.testing.assert_allclose(by_preset, expected, atol=1e-3 * np.abs(expected).max())
