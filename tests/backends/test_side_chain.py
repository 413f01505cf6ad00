"""Side chains take silence, copies where the effect is dead without them, or a recording."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from blackbox_grad import EffectSpec, errors, load
from blackbox_grad.audio_files import write
from blackbox_grad_backends.native import lv2_bundles

pytest.importorskip("dawdreamer")

#: A gate that opens where its key sounds; its second input is the key.
GATE = 'process(x, key) = x * (abs(key) > level) with { level = hslider("level", 0.01, 0, 1, 0.001); };'
#: Dead without its second input.
RING = 'process(x, carrier) = x * carrier * hslider("depth", 1, 0, 1, 0.01);'
#: Alive without it.
FADE = 'process(x, other) = x * (1 - mix) + other * mix with { mix = hslider("mix", 0.25, 0, 1, 0.01); };'


def noise(channels: int = 1, samples: int = 3000) -> np.ndarray:
    return (0.2 * np.random.default_rng(0).standard_normal((channels, samples))).astype(np.float32)


@pytest.fixture
def key(tmp_path):
    """A file that sounds in its samples 1 000 to 2 000."""
    audio = np.zeros((1, 2500), np.float32)
    audio[:, 1000:2000] = 0.5
    write(tmp_path / "key.wav", audio, 44100)
    return tmp_path / "key.wav"


def test_a_second_input_takes_silence():
    with load(f"faust:{FADE}") as effect:
        assert effect.layout == "1 in + 1 silent, 1 out"
        np.testing.assert_allclose(effect.render(noise(), [0.25]), 0.75 * noise(), rtol=1e-5)


@pytest.mark.parametrize("program", [RING, GATE])
def test_an_effect_that_is_dead_without_its_second_input_takes_copies(program):
    with load(f"faust:{program}") as effect:
        assert effect.layout == "1 in + 1 copied, 1 out"
        x = noise(2)
        y = effect.render(x, effect.parameters.defaults)
        np.testing.assert_allclose(y, x * x if program is RING else x * (abs(x) > 0.01), rtol=1e-5)


def test_a_recording_is_an_option_that_travels_with_the_spec(key):
    spec = EffectSpec.of(f"faust:{GATE}", sidechain=key)
    with load(pickle.loads(pickle.dumps(spec))) as effect:
        assert effect.layout == "1 in + 1 side chain, 1 out"
        x = noise(2)
        y = effect.render(x, effect.parameters.defaults)
    np.testing.assert_array_equal(y[:, 1000:2000], x[:, 1000:2000])
    assert not y[:, :1000].any()
    assert not y[:, 2000:].any()


def test_a_changed_recording_makes_another_spec(key):
    before = EffectSpec.of(f"faust:{GATE}", sidechain=key)
    write(key, np.ones((1, 10), np.float32), 44100)
    assert EffectSpec.of(f"faust:{GATE}", sidechain=key).key != before.key


def test_a_recording_at_another_rate_is_resampled(key):
    with load(f"faust:{GATE}", 22050.0, sidechain=key) as effect:
        y = effect.render(np.ones((1, 1500), np.float32), [0.1])[0]
    assert y[550:950].all()
    assert not y[:450].any()
    assert not y[1050:].any()


@pytest.mark.parametrize(
    ("address", "sidechain", "message"),
    [
        (f"faust:{GATE}", "missing.wav", "missing.wav: no such file"),
        (f"faust:{GATE}", 3, "path of an audio file, got int"),
        (
            'faust:process = *(hslider("gain", 1, 0, 2, 0.01));',
            "key.wav",
            "needs a second input, and the effect has 1 in, 1 out",
        ),
        ("pedalboard-builtin:Reverb", "key.wav", "no option 'sidechain'"),
    ],
)
def test_what_cannot_be_used_is_refused(address, sidechain, message, key, monkeypatch):
    monkeypatch.chdir(key.parent)
    with pytest.raises(errors.EffectLoadError, match=message):
        load(address, sidechain=sidechain)


@pytest.mark.plugins
@pytest.mark.parametrize("locator", ["urn:zamaudio:ZamComp", "urn:zamaudio:ZamCompX2"])
def test_a_compressor_listens_to_its_side_chain_when_its_switch_is_on(locator, key):
    """Off, the audio is compressed. On, with silence, nothing is; with a recording, while it sounds."""
    x = noise(2, 12000)
    loud = {"Threshold": 0.2, "Ratio": 0.9}

    def render(switch: float, **options) -> np.ndarray:
        with load(f"dawdreamer:{locator}", parameters="all", **options) as effect:
            switches = {n: switch for n in effect.parameters.names if n.lower().startswith("sidechain")}
            assert len(switches) == 1
            return effect.render(x, effect.parameters.point({**loud, **switches}))

    off, silent, keyed = render(0.0), render(1.0), render(1.0, sidechain=key)
    gain = [float(np.linalg.norm(y[:, 1500:1900]) / np.linalg.norm(x[:, 1500:1900])) for y in (off, silent, keyed)]
    assert gain[0] < 0.8 * gain[1]
    assert gain[2] < 0.8 * gain[1]
    np.testing.assert_array_equal(keyed[:, :900], silent[:, :900])
    np.testing.assert_array_equal(render(0.0, sidechain=key), off)


@pytest.mark.plugins
def test_pedalboard_has_no_side_chains_and_names_the_backend_that_has(key):
    with pytest.raises(errors.EffectLoadError, match="open it as dawdreamer:ZamComp.vst3"):
        load("pedalboard:ZamComp.vst3", sidechain=key)


def _installed(uri: str) -> str:
    if lv2_bundles.description(uri) is None:
        pytest.skip(f"{uri} is not installed")
    return f"dawdreamer:{uri}"


@pytest.mark.parametrize("name", ["EnvelopeFilter", "SidechainGate"])
def test_optional_side_chains_of_an_lv2_are_connected(name, key):
    """DawDreamer leaves them unconnected: EnvelopeFilter crashed with its side chain on, and no recording could reach one."""
    address = _installed(f"http://calf.sourceforge.net/plugins/{name}")
    x = noise(2, 6000)
    with load(address, parameters="all") as effect:
        assert effect.layout == "2 in + 2 silent, 2 out"
        names = effect.parameters.names
        switch = {n: 1.0 for n in names if n in ("Sidechain", "S/C Route")}
        assert switch
        point = effect.parameters.point(switch)
        silent = effect.render(x, point)
    with load(address, parameters="all", sidechain=key) as effect:
        keyed = effect.render(x, point)
    assert np.isfinite(silent).all()
    np.testing.assert_array_equal(keyed[:, :900], silent[:, :900])
    assert np.abs(keyed - silent)[:, 1000:2000].max() > 1e-4


def test_a_plug_in_with_two_stereo_inputs_opens_and_fades_to_its_second():
    address = _installed("http://gareus.org/oss/lv2/xfade")
    x = noise(2, 20000)
    with load(address, parameters="all") as effect:
        assert effect.layout == "2 in + 2 silent, 2 out"
        renders = [effect.render(x, effect.parameters.point({effect.parameters.names[0]: v})) for v in (0.0, 1.0)]
    loudness = sorted(float(np.abs(y[:, 10000:]).max()) for y in renders)  # after the plug-in's own glide
    assert loudness[0] < 1e-3 < 0.1 < loudness[1]
