"""VST3 instruments in both hosts: Kars, and the tests' own Late Organ, which `make plugins-vst3` builds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from native_plugins.build import KARS, LATE_ORGAN

from blackbox_grad import Automated, DifferentiableEffect, Notes, ProcessPool, load
from blackbox_grad.effects.notes import Control, Note
from blackbox_grad.errors import AudioError
from blackbox_grad.testing import EFFECT_LAWS, INSTRUMENT_LAWS, check_effect
from blackbox_grad_backends.native.plugin_parameters import is_named_for_the_host
from blackbox_grad_backends.pedalboard_instruments import PIECE

HOSTS = ("pedalboard", "dawdreamer")
RATE = 44100.0

#: A tune with a repeated note, two voices, and notes at odd times.
TUNE = Notes([("C4", 100, 0.1, 0.3), ("E5", 50, 0.333, 0.2), ("C4", 80, 0.6, 0.2)], 1.0)

pytestmark = pytest.mark.skipif(
    not (KARS.exists() and LATE_ORGAN.exists()), reason="needs VST3 instruments, which `make plugins-vst3` builds"
)


@pytest.fixture(scope="module", params=HOSTS)
def organ(request):
    with load(f"{request.param}:{LATE_ORGAN}", parameters="all") as effect:
        yield effect


def onset(audio):
    return int(np.flatnonzero(np.abs(audio).max(axis=0))[0])


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("plugin", [KARS, LATE_ORGAN], ids=lambda path: path.stem)
def test_instruments_keep_every_law_to_the_bit(host, plugin):
    found = check_effect(f"{host}:{plugin}")
    assert found.laws == tuple(name for name, _ in EFFECT_LAWS + INSTRUMENT_LAWS)
    assert found.repeatability == 0.0


@pytest.mark.parametrize("plugin", [KARS, LATE_ORGAN], ids=lambda path: path.stem)
def test_both_hosts_play_the_same_bits(plugin):
    with load(f"pedalboard:{plugin}", parameters="all") as one, load(f"dawdreamer:{plugin}", parameters="all") as other:
        assert one.parameters == other.parameters
        assert one.layout == other.layout
        for point in (one.parameters.defaults, np.full(3, 0.4), np.array([1.0, 0.9, 0.2])):
            y = one.render(TUNE, point)
            assert y.shape == (2, 44100)
            assert y.any()
            assert np.array_equal(y, other.render(TUNE, point))


def test_controls_for_midi_are_no_parameters(organ):
    assert organ.parameters.names == ("Octave", "Level", "Width")
    assert all(map(is_named_for_the_host, ("MIDI Ch. 1 CC 0", "MIDI Ch. 16 CC 129", "MIDI CC 1|7")))
    assert not is_named_for_the_host("MIDI Channel")


def test_latency_is_taken_out_and_notes_begin_at_their_sample(organ):
    """Beyond the first piece, too: in single precision Pedalboard's times would be off from 2^23 samples on."""
    assert organ.latency == 100
    for start in (0, 1, 511, 513, 4095, 4096, 30011, PIECE - 1, PIECE, PIECE + 1, 12_000_001):
        seconds = start / RATE
        y = organ.render(Notes([Note("C5", 127, seconds, 0.1)], seconds + 0.05), organ.parameters.defaults)
        assert onset(y) == start


@pytest.mark.parametrize("samples", [5, 63, 64, 65, 4097, 13230])
def test_renders_are_as_long_as_the_notes_ask_for(organ, samples):
    assert organ.render(Notes([Note("C5", 127, 0.0, 0.1)], samples / RATE), organ.parameters.defaults).shape == (2, samples)


@pytest.mark.parametrize("message", [(0xB0, 7, 20), (0xE0, 127, 127)], ids=["volume", "bend"])
def test_controllers_are_heard_from_their_sample_on(organ, message):
    """DawDreamer hands them to a VST3 at the beginning of a block of 512 samples."""
    plain, steered = (
        organ.render(Notes([Note("C4", 100, 0.1, 0.8)], 1.0, controls), organ.parameters.defaults)
        for controls in ([], [Control(0.5, message)])
    )
    first, late = onset(plain - steered), round(0.5 * RATE)
    # a bend needs a sample to be heard
    block = 1 if type(organ._effect).__module__.endswith("pedalboard_effect") else 512
    assert late - block < first <= late + 1


def test_any_number_of_controllers_may_come_at_once(organ):
    """Pedalboard takes more than a hundred messages of one time for waits, and refuses them."""
    controls = [Control(0.3, (0xB0, 20 + i % 8, i % 128)) for i in range(300)]
    notes = [Note("C4", 100, 0.1, 0.8)]
    point = organ.parameters.defaults
    assert np.array_equal(organ.render(Notes(notes, 1.0, controls), point), organ.render(Notes(notes, 1.0), point))


def test_every_method_of_pedalboard_plays_the_same():
    with load(f"pedalboard:{LATE_ORGAN}", parameters="all") as organ:
        values = np.array([0.0, 0.3, 0.6])
        expected, effect = organ.render(TUNE, values), organ._effect
        for method in (effect.render_reset, effect.render_settled, effect.render_recreated, effect.render_anew):
            effect._render = method
            for _ in range(2):
                organ.render(Notes.one("C6", 9.0).lasting(0.2), organ.parameters.defaults)
                assert np.array_equal(organ.render(TUNE, values), expected), method.__name__


def test_a_setting_that_moves_is_heard_from_its_block_on(organ):
    length, block = 44100, organ.curve_block
    table = np.repeat(organ.parameters.defaults[:, None], -(-length // block), axis=1)
    packed, still = TUNE.packed(RATE), organ.render(TUNE, organ.parameters.defaults)
    assert np.array_equal(organ.render_curves(packed, table), still)
    moved = table.copy()
    moved[1, 20:] = 0.0
    y = organ.render_curves(packed, moved)
    assert np.array_equal(y[:, : 20 * block], still[:, : 20 * block])
    assert not y[:, 21 * block :].any()


@pytest.mark.parametrize("host", HOSTS)
def test_curves_of_an_instrument_keep_their_laws(host):
    assert check_effect(Automated(f"{host}:{LATE_ORGAN}", 3, ["Level"], seconds=0.5)).repeatability == 0.0


def test_a_layer_has_a_gradient_and_a_chain_begins_with_an_instrument():
    with ProcessPool(hosts=1) as pool:
        layer = DifferentiableEffect(f"pedalboard:{KARS} | pedalboard-builtin:Gain", parameters=["Kars: Volume"], host=pool)
        p = torch.full((2, 1), 0.5, requires_grad=True)
        y = layer([TUNE, Notes.one("C5", 0.2).lasting(0.5)], p)
        assert y.shape == (2, 2, 44100)
        y.square().sum().backward()
        assert (p.grad > 0.0).all()


def test_audio_is_no_input(organ):
    with pytest.raises(AudioError, match=r"LateOrgan\.vst3: an instrument plays notes, and got audio"):
        organ.render(np.zeros((2, 64), np.float32), organ.parameters.defaults)


def test_a_preset_of_one_host_plays_in_the_other(tmp_path):
    with load(f"pedalboard:{KARS}", parameters="all") as kars:
        point = np.array([0.0, 0.3, 0.6])
        kars.save_preset(tmp_path / "soft.vstpreset", point)
        expected = kars.render(TUNE, point)
    with load(f"dawdreamer:{KARS}", parameters="all", preset=tmp_path / "soft.vstpreset") as kars:
        assert np.array_equal(kars.render(TUNE, kars.parameters.defaults), expected)
