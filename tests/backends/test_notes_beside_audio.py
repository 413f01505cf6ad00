"""Effects that hear notes beside the audio, and instruments with audio inputs."""

from __future__ import annotations

import json
from pathlib import Path

import mido
import numpy as np
import pytest
import torch
from command_line import Capture, fail_here, succeed_here

from blackbox_grad import DifferentiableEffect, Notes, ProcessPool, audio_files, load
from blackbox_grad.errors import AudioError, EstimatorError
from blackbox_grad.testing import check_effect
from blackbox_grad_backends.native import lv2_bundles

pytest.importorskip("dawdreamer")

#: Each note lets a band of the audio through: silent without notes, and without audio.
RESONATOR = """
import("stdfaust.lib");
declare options "[midi:on][nvoices:8]";
process = fi.resonbp(hslider("freq", 440, 20, 9000, 1), hslider("q", 20, 1, 50, 0.1), 1)
    * hslider("gain", 0.5, 0, 1, 0.01) * hslider("level", 1, 0, 2, 0.01) * en.adsr(0.01, 0.1, 1, 0.05, button("gate"));
"""

#: A gate that is open while a note is held, from the beginning of its block on (Debian's lv2-examples), and a filter that follows
#: the notes (calf-plugins).
GATE, FILTER = "http://lv2plug.in/plugins/eg-midigate", "http://calf.sourceforge.net/plugins/Filterclavier"

NOTES = Notes([("A4", 100, 0.25, 0.25)], 1.0)


def installed(uri: str) -> str:
    if lv2_bundles.bundle_of(uri) is None:
        pytest.skip(f"{uri} is not installed")
    return f"dawdreamer:{uri}"


def noise(channels=2, seconds=1.0):
    return (0.1 * np.random.default_rng(0).standard_normal((channels, round(44100 * seconds)))).astype(np.float32)


@pytest.fixture(scope="module")
def resonator():
    with load(f"faust:{RESONATOR}", parameters="all") as effect:
        yield effect


def test_an_instrument_with_audio_inputs_gets_silence_unless_audio_is_given(resonator):
    assert (resonator.takes, resonator.beside, resonator.layout) == ("notes", "audio", "notes + 1 in, 1 out")
    assert not resonator.render(NOTES).any()
    x = noise()
    y = resonator.render(x, notes=NOTES)
    assert y.shape == x.shape
    assert not y[:, : 44100 // 4 - 1].any()
    assert np.abs(np.fft.rfft(y[0, 11025:22050])).argmax() == pytest.approx(440 / 4, abs=5)
    assert np.array_equal(y, resonator.render(NOTES.beside(x, 44100.0), resonator.parameters.defaults)[:-1])


def test_every_law_holds_with_notes_and_audio(resonator):
    assert check_effect(resonator).repeatability == 0.0


@pytest.mark.plugins
def test_every_law_of_effects_holds_while_notes_are_played():
    check = check_effect(installed(GATE))
    assert check.repeatability == 0.0
    assert "notes beside audio are heard" in check.laws
    check = check_effect(installed(FILTER))
    assert (check.repeatability, check.dead) == (0.0, ())


@pytest.mark.plugins
def test_an_effect_plays_without_notes_as_without_midi():
    with load(installed(GATE)) as gate:
        assert (gate.takes, gate.beside) == ("audio", "notes")
        x = noise()
        assert not gate.render(x).any()
        y = gate.render(x, notes=NOTES)
        first, last = np.flatnonzero(np.abs(y).max(axis=0))[[0, -1]]
        assert 11025 - 512 <= first <= 11025
        assert 22050 - 512 <= last <= 22050
        assert not gate.render(x).any(), "nothing is left of the notes"


@pytest.mark.plugins
def test_notes_go_to_each_effect_of_a_chain_that_hears_them():
    x = noise()
    with load(f"reference:gain | {installed(GATE)} | reference:gain", parameters=[]) as both:
        assert (both.takes, both.beside) == ("audio", "notes")
        y = both.render(x, [], notes=NOTES)
        assert y[:, 11025:22050].any()
        assert not y[:, : 11025 - 512].any()
    with load(f"faust:{RESONATOR} | {installed(GATE)}", parameters=[]) as played:
        z = played.render(x, [], notes=NOTES)
        assert z[:, 12000:22050].any()
        assert not z[:, 22050:].any(), "the gate closes on the release"


def test_a_layer_takes_notes_beside_audio_in_every_mode():
    x, p = torch.from_numpy(noise())[None].repeat(2, 1, 1), torch.tensor([[0.5, 0.4], [0.5, 0.8]], requires_grad=True)
    several = [NOTES, Notes([("E4", 80, 0.0, 0.5)], 1.0)]
    with ProcessPool(hosts=1) as pool:
        layer = DifferentiableEffect(f"faust:{RESONATOR}", parameters=["level", "q"], host=pool)
        y = layer(x, p, notes=several)
        assert y.shape == x.shape
        assert torch.equal(y[:1], layer(x[:1], p[:1], NOTES)), "each item has its own notes"
        assert torch.equal(layer(x[:1], p, NOTES)[1], layer(x[1:], p[1:], NOTES)[0])
        assert layer(x.half(), p, notes=NOTES).dtype == torch.float16
        y.square().mean().backward()
        assert (p.grad != 0).all()
        vjp = layer.estimate(x, p, y.detach(), notes=several, seed=1)
        assert torch.equal(vjp, layer.estimate(x, p, y.detach(), y.detach(), seed=1, notes=several))
        p.grad = None
        shapes = []

        def distance(y, target):
            shapes.append(y.shape[1:])
            return (y - target).square().mean(dim=(1, 2))

        layer.loss(x, p, distance, 0.5 * y.detach(), notes=several).backward()
        assert (p.grad != 0).any()
        assert set(shapes) == {x.shape[1:]}, "a loss sees the audio alone"
        with pytest.raises(AudioError, match="audio has a batch of 2, and there are notes for 3 items"):
            layer(x, p, notes=[NOTES] * 3)
        layer.audio_gradient = "lti"
        with pytest.raises(EstimatorError, match="has no notes beside the audio; choose 'straight-through'"):
            layer(x.requires_grad_(), p, notes=NOTES)


def test_what_does_not_take_both_says_what_it_takes(resonator):
    x, p = torch.zeros(1, 1, 64), torch.full((1, 1), 0.5)
    gain = DifferentiableEffect("reference:gain", host="in-process")
    with pytest.raises(AudioError, match=r"gain is an effect that hears no notes: write layer\(x, p\), without notes="):
        gain(x, p, notes=NOTES)
    with load("reference:gain") as effect, pytest.raises(AudioError, match="takes audio, and no notes beside"):
        effect.render(noise(), [0.5], notes=NOTES)
    with pytest.raises(AudioError, match="notes go in once"):
        resonator.render(NOTES, notes=NOTES)
    with pytest.raises(AudioError, match="an instrument plays notes, and got audio"):
        resonator.render(noise())


@pytest.mark.plugins
def test_the_command_line_renders_both(tmp_path: Path, capsys: Capture) -> None:
    riff = [mido.Message("note_on", note=60, time=240), mido.Message("note_off", note=60, time=240)]
    mido.MidiFile(tracks=[mido.MidiTrack(riff)]).save(tmp_path / "riff.mid")
    audio_files.write(tmp_path / "in.wav", noise(), 44100.0)
    given = [str(tmp_path / name) for name in ("in.wav", "out.wav")]
    arguments = ["--notes", str(tmp_path / "riff.mid"), "--host", "in-process"]
    said = json.loads(succeed_here(capsys, "render", installed(GATE), *given, *arguments, "--json"))
    assert said["channels"] == 2
    y = audio_files.read(given[1])[0]
    assert y.shape == (2, 44100)
    assert y.any()
    assert not y[:, :10000].any()
    refused = fail_here(capsys, "render", "reference:gain", *given, *arguments)
    assert "reference:gain does not take notes beside audio; leave --notes out" in refused
