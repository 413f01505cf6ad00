"""Real instruments in DawDreamer: what plays notes opens, and renders are functions of notes and settings."""

from __future__ import annotations

import io
import itertools

import mido
import numpy as np
import pytest
import torch

from blackbox_grad import DifferentiableEffect, EffectSpec, Notes, Parameter, ParameterSpace, PluginEffect, ProcessPool, load
from blackbox_grad.effects.notes import Control, Note
from blackbox_grad.errors import AudioError, EffectLoadError
from blackbox_grad_backends.dawdreamer_instruments import changes_when_created
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.instruments import refuse_generator
from blackbox_grad_backends.native.midi_bytes import as_file

MDA = "dawdreamer:http://drobilla.net/plugins/mda/"

pytestmark = pytest.mark.plugins


@pytest.fixture(scope="module")
def jx10():
    with load(f"{MDA}JX10", parameters="all") as effect:
        yield effect


def peaks(audio, *seconds):
    """The largest samples between these times."""
    edges = [round(44100 * second) for second in seconds]
    return [float(np.abs(audio[:, a:b]).max()) for a, b in itertools.pairwise(edges)]


def test_notes_go_in_and_sound_comes_out_as_long_as_they_ask_for(jx10):
    notes = Notes([("C4", 100, 0.25, 0.25), ("E4", 60, 1.0, 0.25)])
    assert (jx10.takes, jx10.layout) == ("notes", "notes in, 2 out")
    y = jx10.render(notes, jx10.parameters.defaults)
    assert y.shape == (2, round(44100 * 2.25))
    before, first, _, second = peaks(y, 0.0, 0.25, 0.5, 1.0, 1.25)
    assert before == 0.0
    assert first > second > 0.01
    mono = jx10.render(notes.packed(44100.0, channels=1), jx10.parameters.defaults)
    assert np.allclose(mono[0], y.mean(axis=0), atol=1e-6)


def test_pitch_bend_and_the_pedal_are_played(jx10):
    def played(*controls):
        with load(f"{MDA}Piano", parameters=[]) as piano:
            return piano.render(Notes([Note("C4", 100, 0.0, 0.2)], 1.0, controls), [])

    pedal = played(Control(0.1, (0xB0, 64, 127)))
    assert peaks(pedal, 0.5, 1.0)[0] > 5 * peaks(played(), 0.5, 1.0)[0]
    note = Note("A4", 100, 0.0, 1.0)
    point = jx10.parameters.defaults
    bent = jx10.render(Notes([note], 1.0, [Control(0.0, (0xE0, 127, 127))]), point)
    plain = jx10.render(Notes([note], 1.0), point)
    assert not np.allclose(bent, plain, atol=0.01)


def test_what_epiano_does_to_its_samples_is_over_before_it_renders():
    """Each new instance changes its library's data; every host must come to the same end."""
    notes, spec = Notes([("C3", 100, 0.0, 1.0), ("A5", 100, 0.2, 1.0)]), EffectSpec.of(f"{MDA}EPiano", parameters="all")
    with load(spec) as effect:
        assert effect.repeatability == 0.0
        here = effect.render(notes, effect.parameters.defaults)
        taught = effect.spec
        assert np.array_equal(here, effect.render(notes, effect.parameters.defaults))
    with ProcessPool(hosts=1) as pool:
        defaults = pool.open(taught).parameters.defaults
        there, _ = pool.render_batch(taught, notes.packed(44100.0)[None], defaults[None])
    assert np.array_equal(here, there[0])


def test_audio_is_no_input_of_an_instrument_nor_notes_of_an_effect(jx10):
    with pytest.raises(
        AudioError, match=r"JX10: an instrument plays notes, and got audio of shape \(2, 64\); give .*Notes.one"
    ):
        jx10.render(np.zeros((2, 64), np.float32), jx10.parameters.defaults)
    with load("reference:gain") as gain, pytest.raises(AudioError, match="is an effect, and takes audio"):
        gain.render(Notes.one(60), gain.parameters.defaults)


def test_an_instrument_begins_a_chain_and_stands_nowhere_else():
    notes = Notes.one("C4", 0.1).lasting(0.2)
    with load(f"{MDA}DX10 | reference:gain", parameters="all") as both, load(f"{MDA}DX10") as alone:
        assert both.takes == "notes"
        loud = both.render(notes, both.parameters.point({"gain: gain": 1.0}))
        assert np.abs(loud).max() > np.abs(alone.render(notes, alone.parameters.defaults)).max() > 0.0
    with pytest.raises(EffectLoadError, match="is an instrument, and takes no audio; put it first"):
        load(f"reference:gain | {MDA}DX10")


def test_messages_arrive_at_their_sample():
    rate = 44100.0
    late = []
    with load(f"{MDA}DX10", parameters=[]) as dx10:
        for start in (0, 1, 511, 513, 4410, 44099):
            y = dx10.render(Notes([Note("C5", 127, start / rate, 0.1)], 1.2), [])
            late.append(int(np.flatnonzero(np.abs(y).max(axis=0))[0]) - start)
    assert set(late) == {late[0]}
    assert 0 <= late[0] <= 1


def test_a_wait_of_any_length_fits_into_a_midi_file():
    notes = Notes([Note("C5", 127, 1000.0, 0.1)], 1200.0)
    file = mido.MidiFile(file=io.BytesIO(as_file(notes.messages(44100.0), 44100.0)))
    times = np.cumsum([message.time for message in file])
    assert np.allclose(times[-3:], [1000.0, 1000.1, 1000.1], atol=1 / 44100.0)


class Wind(PluginEffect):
    """Noise that takes no notice of notes."""

    takes, name, sample_rate, inputs, outputs = "notes", "wind", 44100.0, 0, 1
    parameters = ParameterSpace([Parameter("Level")])

    def process(self, audio, values):
        return np.random.default_rng(0).standard_normal((1, audio.shape[1])).astype(np.float32)


def test_what_no_notes_change_is_a_generator():
    with pytest.raises(EffectLoadError, match="mine:wind is a generator, not an effect or an instrument"):
        refuse_generator(Wind(), Wind().process, "mine:wind")


@pytest.mark.slow
@pytest.mark.skipif(plugin_folders.find("amsynth_vst.so", "vst2") is None, reason="needs Debian's amsynth")
def test_a_vst2_that_keeps_its_voices_is_created_anew():
    """Its noise and its random waves begin nowhere twice; without them it is pure."""
    waves = {"osc1_waveform": 0.25, "osc2_waveform": 0.25, "lfo_waveform": 0.0}
    with load("dawdreamer:amsynth_vst.so", parameters="all", fixed=waves) as effect:
        assert effect.repeatability == 0.0
        notes, point = Notes.one("C4", 0.2).lasting(0.3), np.full(len(effect.parameters), 0.4)
        y = effect.render(notes, point)
        assert y.any()
        effect.render(Notes.one("C6", 9.0).lasting(0.2), effect.parameters.defaults)
        assert np.array_equal(y, effect.render(notes, point))


@pytest.fixture(scope="module")
def layer():
    with ProcessPool(hosts=1) as pool:
        yield DifferentiableEffect(f"{MDA}DX10", parameters=["Coarse", "Mod Init"], host=pool)


def test_a_layer_plays_other_notes_for_each_item_and_has_a_gradient(layer):
    both = [Notes.one("C4", 0.1).lasting(0.2), Notes.one("C5", 0.1).lasting(0.3)]
    p = torch.full((2, 2), 0.4, requires_grad=True)
    y = layer(both, p)
    assert y.shape == (2, 2, 13230)
    assert torch.equal(y[:1], layer(both[0].lasting(0.3), p[:1])), "as long as the longest"
    assert torch.equal(y[1:], layer(both[1], p[1:]))
    assert torch.equal(layer(both[0], p)[0], layer(both[0], p)[1]), "one sequence at two settings"
    y.square().sum().backward()
    assert (p.grad != 0).any()
    packed = torch.from_numpy(both[0].packed(44100.0))[None]
    same = layer([both[1], both[0], both[1]], p[:1])
    assert torch.equal(same[0], same[2]), "two equal items of a batch"
    assert torch.equal(layer(packed, p[:1]), layer(both[0], p[:1]))


def test_the_loss_mode_and_bare_estimates_take_notes(layer):
    notes, hidden = Notes.one("A3", 0.2).lasting(0.3), torch.tensor([[0.4, 0.8]])
    target = layer(notes, hidden)
    p = torch.tensor([[0.4, 0.3]], requires_grad=True)

    def distance(y, wanted):
        return (y - wanted).square().mean(dim=(1, 2))

    loss = layer.loss(notes, p, distance, target)
    loss.backward()
    assert p.grad.isfinite().all()
    assert p.grad.any()
    estimate = layer.estimate(notes, p, torch.ones_like(target))
    assert estimate.shape == p.shape


def test_a_layer_says_what_it_takes(layer):
    p = torch.full((1, 2), 0.5)
    with pytest.raises(AudioError, match=r"DX10 is an instrument: give it notes, not audio: layer\(Notes"):
        layer(torch.zeros(1, 2, 64), p)
    with pytest.raises(AudioError, match="audio x must be a torch.Tensor, got str"):
        layer("C4", p)
    with pytest.raises(AudioError, match="an empty list of notes"):
        layer([], p)
    effect = DifferentiableEffect("reference:gain", host="in-process")
    with pytest.raises(AudioError, match="reference:gain is an effect: give it audio"):
        effect(Notes.one("C4"), torch.full((1, 1), 0.5))


@pytest.mark.parametrize(("change", "expected"), [(0.0, False), (1e-5, True), (1e-16, False), (1.0, False)])
def test_only_small_changes_from_instance_to_instance_may_come_to_an_end(change, expected):
    """Large ones are random numbers; tiny ones are last bits."""
    wind, count = Wind(), itertools.count()

    def created(audio, values):
        steady, other = (np.random.default_rng(seed).standard_normal((1, audio.shape[1])) for seed in (0, 1 + next(count)))
        return steady + change * other

    assert changes_when_created(wind, created) == expected
