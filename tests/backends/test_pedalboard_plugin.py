"""The Pedalboard backend's own ground: addresses, states, parameters and the hazards of plug-ins that are re-created."""

from __future__ import annotations

import _ctypes
import math
import platform
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pedalboard
import pytest

from blackbox_grad import load
from blackbox_grad.errors import EffectLoadError, EffectNotFoundError, RenderError
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.plugin_parameters import describe, is_doubtful, is_for_the_host
from blackbox_grad_backends.pedalboard_plugin import PedalboardPluginBackend


def noise(channels: int, samples: int) -> np.ndarray:
    return (0.25 * np.random.default_rng(0).standard_normal((channels, samples))).astype(np.float32)


@dataclass
class Control:
    """Pedalboard's description of a plug-in's parameter."""

    texts: object
    name: str = "Drive"
    label: str = ""
    num_steps: int = 2**31 - 1
    raw_value: float = 0.5
    index: int = 0
    is_boolean: bool = False
    is_automatable: bool = True

    def get_text_for_raw_value(self, value: float) -> str:
        return self.texts(value)


def test_no_steps_means_continuous_and_a_linear_range_is_read():
    p = describe(Control(lambda v: f"{-60 + 66 * v:.2f}", label="dB"))
    assert (p.kind, p.scale, p.minimum, p.maximum, p.unit) == ("continuous", "linear", -60.0, 6.0, "dB")


def test_a_geometric_range_is_read_across_changes_of_unit():
    def text(v):
        hertz = 20 * 1000**v
        return f"{hertz:.1f} Hz" if hertz < 1000 else f"{hertz / 1000:.4f} kHz"

    p = describe(Control(text))
    assert (p.scale, p.unit) == ("log", "Hz")
    assert p.to_native(0.5) == pytest.approx(20 * math.sqrt(1000), rel=1e-3)


def test_a_curved_range_becomes_a_table():
    p = describe(Control(lambda v: f"{500 * v**2:.3f} ms"))
    assert (p.scale, p.unit) == ("table", "ms")
    assert p.to_native(0.5) == pytest.approx(125.0, rel=0.01)


def test_minus_infinity_gives_a_finite_range():
    p = describe(Control(lambda v: "-inf dB" if v == 0 else f"{20 * math.log10(v):.2f} dB"))
    assert p.unit == "dB"
    assert all(math.isfinite(p.to_native(v)) for v in np.linspace(0, 1, 50))
    assert p.to_native(0.5) == pytest.approx(-6.02, abs=0.1)


def test_texts_without_numbers_leave_the_plain_range():
    p = describe(Control(lambda v: "soft" if v < 0.5 else "hard"))
    assert (p.kind, p.minimum, p.maximum, p.unit) == ("continuous", 0.0, 1.0, "")


def test_few_steps_make_levels_and_their_names_choices():
    modes = ("Clean", "Crunch", "Lead")
    p = describe(Control(lambda v: modes[round(2 * v)], num_steps=3, raw_value=0.45))
    assert (p.kind, p.levels, p.choices, p.default) == ("stepped", 3, modes, 0.5)
    toggle = describe(Control(lambda v: f"{v:.6f}", num_steps=2))
    assert (toggle.kind, toggle.choices, toggle.text(1.0)) == ("toggle", (), "on")
    grains = describe(Control(lambda v: str(round(1 + 99 * v)), num_steps=100))
    assert (grains.kind, grains.minimum, grains.maximum, grains.choices) == ("stepped", 1.0, 100.0, ())


def test_slow_texts_are_not_asked_for_twice(monkeypatch):
    asked = []

    def slow(value):
        asked.append(value)
        time.sleep(0.03)
        return f"{10 * value:.1f}"

    monkeypatch.setattr("blackbox_grad_backends.native.plugin_parameters.TEXT_BUDGET", 0.02)
    p = describe(Control(slow))
    assert (p.minimum, p.maximum, len(asked)) == (0.0, 10.0, 3)


def test_the_hosts_controls_and_meters_are_told_apart():
    assert all(is_for_the_host(Control(str, name=n)) for n in ("Buffer Size", "Current Program", "MIDI CC 1|7", "Bypass"))
    assert not is_for_the_host(Control(str, name="Latency compensation drive"))
    assert is_doubtful(Control(str, name="Gain Reduction 1"))
    assert is_doubtful(Control(str, name="Room", is_automatable=False))
    assert not is_doubtful(Control(str, name="Output Gain"))


def test_a_missing_plugin_names_the_nearest():
    with pytest.raises(EffectNotFoundError, match="no-such-thing"):
        load("pedalboard:no-such-thing.vst3")


def bundle(path: Path) -> Path:
    """A VST3 bundle with an intact library that is not a plug-in."""
    folder = path / "Contents" / f"{platform.machine()}-linux"
    folder.mkdir(parents=True)
    shutil.copy(_ctypes.__file__, folder / f"{path.stem}.so")
    return path


def test_a_library_that_is_no_plugin_is_refused(tmp_path):
    with pytest.raises(EffectLoadError, match="this machine cannot open .* as a plug-in: Unable to scan") as caught:
        load(f"pedalboard:{bundle(tmp_path / 'library.vst3')}")
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_bundle_of_several_needs_a_name(tmp_path, monkeypatch):
    pedalboard = pytest.importorskip("pedalboard")

    class Bundle:
        @staticmethod
        def get_plugin_names_for_file(path):
            return ["mda Delay", "mda Leslie"]

    monkeypatch.setattr(pedalboard, "VST3Plugin", Bundle)
    path = bundle(tmp_path / "mda.vst3")
    with pytest.raises(EffectLoadError, match=r"mda Delay, mda Leslie.*mda\.vst3#NAME"):
        load(f"pedalboard:{path}")
    with pytest.raises(EffectNotFoundError, match="did you mean 'mda Delay'"):
        load(f"pedalboard:{path}#mda Dealy")


def test_claims_without_opening():
    backend = PedalboardPluginBackend()
    assert backend.claims("/anywhere/Some Plug-in.vst3") == 1.0
    assert backend.claims("mda.vst3#mda Delay") == 1.0
    assert backend.claims("http://drobilla.net/plugins/mda/Delay") == 0.0


@pytest.mark.plugins
def test_installed_plugins_are_found_by_name_and_listed():
    assert "ZamTube.vst3" in list(PedalboardPluginBackend().scan())
    assert load("ZamDelay").spec.address == "pedalboard:ZamDelay"
    with pytest.raises(EffectNotFoundError, match=r"did you mean 'ZamTube\.vst3'"):
        load("pedalboard:ZamTub.vst3")


@pytest.mark.plugins
def test_a_plugin_with_fewer_inputs_than_outputs_is_refused_with_the_address_that_opens_it(monkeypatch):
    pedalboard = pytest.importorskip("pedalboard")

    def refuse(*_, **__):
        raise ValueError("does not support 2-channel output")

    monkeypatch.setattr(pedalboard.VST3Plugin, "process", refuse)
    with pytest.raises(EffectLoadError, match=r"2-channel output.* as many inputs as outputs") as caught:
        load("pedalboard:ZamDelay.vst3")
    with load(str(caught.value).rpartition("open it as ")[2]) as effect:
        assert effect.spec.address.startswith("dawdreamer:")
        assert "Time" in effect.parameters.names


@pytest.mark.plugins
def test_unknown_and_contradicting_options_are_refused():
    with pytest.raises(EffectLoadError, match=r"no option 'prest'; there are: preset, state"):
        load("pedalboard:ZamDelay.vst3", prest="warm.vstpreset")
    with pytest.raises(EffectLoadError, match="exclude each other"):
        load("pedalboard:ZamDelay.vst3", preset="warm.vstpreset", state=b"")
    with pytest.raises(EffectLoadError, match="preset"):
        load("pedalboard:ZamDelay.vst3", preset="/nowhere/warm.vstpreset")


@pytest.mark.plugins
def test_host_parameters_and_meters_are_no_parameters():
    with load("pedalboard:ZaMultiComp.vst3", parameters="all") as effect:
        names = effect.parameters.names
    assert "Attack1" in names
    assert not {"Buffer Size", "Sample Rate", "Current Program", "Gain Reduction 1", "Output low"} & set(names)


@pytest.mark.plugins
def test_a_control_that_cannot_be_automated_but_sounds_is_kept_untrained():
    with load("pedalboard:ZamHeadX2.vst3", parameters="all") as effect:
        assert {p.name: p.trainable for p in effect.parameters} == {"Azimuth": False, "Elevation": False, "Width": True}
    with load("pedalboard:ZamHeadX2.vst3") as effect:
        assert effect.parameters.names == ("Width",)


@pytest.mark.plugins
def test_a_recreated_plugin_goes_back_to_its_default():
    """With Pedalboard's plain sequence, ZamTube renders a drive of 0.9 after a reset to 0."""
    audio = noise(1, 8192)
    with load("pedalboard:ZamTube.vst3") as effect, load("pedalboard:ZamTube.vst3") as fresh:
        assert effect.parameters[0].name == "Tube Drive"
        clean, driven = effect.parameters.defaults, effect.parameters.point({"Tube Drive": 0.9})
        assert clean[0] == 0.0
        expected = fresh.render(audio, clean)
        loud = effect.render(audio, driven)
        assert np.array_equal(effect.render(audio, clean), expected)
        assert not np.array_equal(loud, expected)
        assert np.array_equal(effect.render(audio, driven), loud)


@pytest.mark.plugins
@pytest.mark.parametrize(("name", "method"), [("ZamCompX2", "render_reset"), ("ZamTube", "render_recreated")])
def test_the_cheapest_pure_method_is_chosen(name, method):
    with PedalboardPluginBackend().open(f"{name}.vst3", 44100.0, {}) as effect:
        assert effect.method == method
        assert effect.repeatability == 0.0


@pytest.mark.plugins
@pytest.mark.parametrize("what", ["preset", "state", "state file"])
def test_presets_and_states_become_the_defaults(tmp_path: Path, what):
    plugin = pedalboard.VST3Plugin(str(plugin_folders.find("ZamTube.vst3", "vst3")))
    drive, model = (c for c in plugin._parameters if c.name in ("Tube Drive", "Tone Stack Model"))
    drive.raw_value, model.raw_value = 0.7, 8 / 24
    plugin.process(np.zeros((1, 4096), np.float32), 44100.0, reset=False)
    (tmp_path / "warm.vstpreset").write_bytes(plugin.preset_data)
    (tmp_path / "warm.state").write_bytes(plugin.raw_state)
    options = {
        "preset": {"preset": str(tmp_path / "warm.vstpreset")},
        "state": {"state": plugin.raw_state},
        "state file": {"state": str(tmp_path / "warm.state")},
    }[what]
    audio = noise(1, 8192)
    with (
        load("pedalboard:ZamTube.vst3", parameters="all", **options) as effect,
        load("pedalboard:ZamTube.vst3", parameters="all") as plain,
    ):
        defaults = effect.parameters.defaults
        assert defaults[effect.parameters.index("Tube Drive")] == pytest.approx(0.7, abs=1e-6)
        assert defaults[effect.parameters.index("Tone Stack Model")] == pytest.approx(8 / 24)
        assert np.array_equal(effect.render(audio, defaults), plain.render(audio, defaults))
        assert not np.array_equal(effect.render(audio, defaults), plain.render(audio, plain.parameters.defaults))


@pytest.mark.plugins
def test_reported_latency_is_taken_out_at_every_length():
    """ZaMaximX2 looks ahead 480 samples; at its defaults, quiet audio comes out as it went in."""
    audio = 0.4 * noise(2, 6000)
    with load("pedalboard:ZaMaximX2.vst3") as effect:
        assert effect.latency == 480
        for length in (1, 2, 479, 481, 6000):
            result = effect.render(audio[:, :length], effect.parameters.defaults)
            np.testing.assert_allclose(result, audio[:, :length], atol=1e-5)


@pytest.mark.slow
@pytest.mark.plugins
def test_a_plugin_whose_texts_are_slow_opens_with_all_parameters():
    """ZamVerb loads a room for each text, in about a second. Pedalboard's `load_plugin` reads hundreds of texts."""
    with load("pedalboard:ZamVerb.vst3", parameters="all") as effect:
        assert effect.parameters.names == ("Master level", "Wet / Dry", "Room")


@pytest.mark.plugins
def test_a_closed_effect_says_so():
    effect = load("pedalboard:ZamDelay.vst3")
    effect.close()
    with pytest.raises(RenderError, match="has been closed"):
        effect.render(noise(1, 64), effect.parameters.defaults)


@pytest.mark.plugins
def test_opening_on_another_thread_is_refused_with_a_way_out():
    with load("pedalboard:ZamDelay.vst3"), ThreadPoolExecutor(1) as other:
        attempt = other.submit(load, "pedalboard:ZamTube.vst3")
        with pytest.raises(EffectLoadError, match=r"main thread only.*ProcessPool"):
            attempt.result(timeout=240)


@pytest.mark.plugins
def test_a_plugin_does_not_change_how_the_thread_computes():
    smallest = np.float64(2.3e-308)  # a quarter of it is subnormal
    with load("pedalboard:ZamCompX2.vst3") as effect:  # switches to flushing subnormal numbers to zero
        assert smallest / 4 > 0
        effect.render(np.ones((2, 64), np.float32), effect.parameters.defaults)
        assert smallest / 4 > 0
    assert smallest / 4 > 0


@pytest.mark.parametrize("option", ["state", "preset"])
@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a device without an end")
def test_a_device_is_no_preset_and_no_state(option):
    with pytest.raises(EffectLoadError, match="/dev/zero is a device"):
        load("pedalboard:ZamDelay.vst3", **{option: "/dev/zero"})


@pytest.mark.plugins
@pytest.mark.parametrize("backend", ["pedalboard", "dawdreamer"])
def test_a_preset_that_is_damaged_or_changes_nothing_is_refused(tmp_path: Path, backend):
    plugin = pedalboard.VST3Plugin(str(plugin_folders.find("ZamDelay", "vst3")))
    at_defaults = plugin.preset_data
    for control in list(plugin._parameters)[:4]:
        control.raw_value = 0.7
    plugin.process(np.zeros((1, 512), np.float32), 44100)
    preset = plugin.preset_data
    file = tmp_path / "a.vstpreset"
    other = preset[:20] + bytes([preset[20] ^ 1]) + preset[21:]  # of another plug-in
    refused = r"changes nothing|could not be loaded|refused|could not be opened"
    for damaged, cause in ((preset[: len(preset) // 2], "is cut off"), (bytes(len(preset)), "begins with"), (other, refused)):
        file.write_bytes(damaged)
        with pytest.raises(EffectLoadError, match=cause):
            load(f"{backend}:ZamDelay.vst3", preset=str(file))
    file.write_bytes(preset)
    load(f"{backend}:ZamDelay.vst3", preset=str(file)).close()
    if backend == "pedalboard":
        file.write_bytes(at_defaults)
        load(f"{backend}:ZamDelay.vst3", preset=str(file)).close()
