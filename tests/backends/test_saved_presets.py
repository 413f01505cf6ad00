"""Presets written for a DAW: another host loads them, and sounds the same."""

from __future__ import annotations

import re
import runpy
import shutil
import struct
import subprocess
from pathlib import Path

import dawdreamer
import numpy as np
import pedalboard
import pytest

from blackbox_grad import Automated, EffectSpec, InProcessHost, Notes, ProcessPool, load
from blackbox_grad.effects import SelectedEffect
from blackbox_grad.errors import AudioError, EffectLoadError
from blackbox_grad.hosts import save_preset_in
from blackbox_grad.parameters import Parameter
from blackbox_grad_backends.dawdreamer_saving import refuse_other_sound
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.vst3_presets import preset_of_state

MDA = "dawdreamer:http://drobilla.net/plugins/mda/"

pytestmark = pytest.mark.plugins


def audio() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4096)).astype(np.float32)


def somewhere(effect: SelectedEffect, seed: int = 1) -> np.ndarray:
    return effect.parameters.snap(np.random.default_rng(seed).uniform(0.1, 0.9, len(effect.parameters)))


@pytest.mark.parametrize("plugin", ["ZamEQ2", "ZamCompX2"])
@pytest.mark.parametrize(("library", "other"), [("pedalboard", "dawdreamer"), ("dawdreamer", "pedalboard")])
def test_a_vst3_preset_is_loaded_in_the_other_library(plugin: str, library: str, other: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.vstpreset"
    with load(f"{library}:{plugin}.vst3", parameters="all") as effect:
        p, defaults = somewhere(effect), effect.parameters.defaults
        before = effect.render(audio(), defaults)
        assert effect.save_preset(path, p) == path
        assert np.array_equal(effect.render(audio(), defaults), before), "saving changes nothing"
    with load(f"{other}:{plugin}.vst3", parameters="all", preset=path) as there:
        loaded = there.parameters.defaults
        assert np.allclose(loaded, p, atol=1e-5)
        assert np.array_equal(there.render(audio(), loaded), there.render(audio(), p)), "to the bit"
        assert not np.allclose(there.render(audio(), loaded), before, atol=1e-3)


def test_both_libraries_write_the_same_vst3_preset(tmp_path: Path) -> None:
    contents = []
    for library in ("pedalboard", "dawdreamer"):
        with load(f"{library}:ZamEQ2.vst3", parameters="all") as effect:
            effect.save_preset(tmp_path / "a.vstpreset", np.linspace(0.25, 0.75, len(effect.parameters)))
        contents.append((tmp_path / "a.vstpreset").read_bytes())
    assert [c[:40] for c in contents] == [contents[0][:40]] * 2, "of the same class"
    states = []
    for content in contents:  # the sizes that the host sets differ
        state = content[48 : struct.unpack_from("<q", content, 40)[0]]
        states.append(state.partition(b"__dpf_parameters_begin__")[2])
    assert states[0] == states[1]


def test_the_parts_of_a_state_are_read_as_juce_wrote_them() -> None:
    content = bytes(range(256)) * 3
    bits = int.from_bytes(content, "little")
    alphabet = ".ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+"
    text = "".join(alphabet[bits >> 6 * k & 63] for k in range(-(-8 * len(content) // 6)))
    state = f"VC2!....<VST3PluginState><IComponent>{len(content)}.{text}</IComponent></VST3PluginState>".encode()
    preset = preset_of_state(state, bytes(16))
    assert preset[48 : 48 + len(content)] == content
    with pytest.raises(EffectLoadError, match="saves no state"):
        preset_of_state(b"VC2!", bytes(16))


@pytest.mark.parametrize(("suffix", "option"), [(".fxp", "preset"), (".fxb", "state")])
def test_a_vst2_program_or_bank_is_loaded_by_dawdreamer(suffix: str, option: str, tmp_path: Path) -> None:
    path = tmp_path / f"My echo{suffix}"
    with load("dawdreamer:ZamDelay-vst.so", parameters="all") as effect:
        p = somewhere(effect)
        effect.save_preset(path, p)
        sound = effect.render(audio(), p)
        assert not np.allclose(sound, effect.render(audio(), effect.parameters.defaults), atol=1e-3)
    content = path.read_bytes()
    assert (content[:4], content[16:20]) == (b"CcnK", b"ZMDL")
    if suffix == ".fxp":
        assert content[28:35] == b"My echo"
        assert struct.unpack_from(">I", content, 4)[0] == len(content) - 8
    engine = dawdreamer.RenderEngine(44100, 512)
    raw = engine.make_plugin_processor("raw", str(plugin_folders.find("ZamDelay-vst", "vst2")))
    assert (raw.load_preset if option == "preset" else raw.load_state)(str(path)) is not False
    player = engine.make_playback_processor("audio", audio().mean(axis=0, keepdims=True))
    engine.load_graph([(player, []), (raw, ["audio"])])
    engine.render((4096 + 0.5) / 44100)
    with load("dawdreamer:ZamDelay-vst.so", parameters="all", **{option: path}) as there:
        loaded = there.render(audio(), there.parameters.defaults)
        mono = there.render(audio().mean(axis=0, keepdims=True), there.parameters.defaults)
    assert np.array_equal(loaded, sound), "to the bit"
    assert np.allclose(engine.get_audio(), mono, atol=0.05 * np.abs(mono).max())


def test_a_vst2_that_stores_another_sound_says_so() -> None:
    """ZamDelay stores 0.6 of a switch as 1, and plays both alike. One that does not must not be saved."""

    class Switch:
        source, indices, repeatability = "echo.so", [0], 0.0

        def __init__(self, threshold: float) -> None:
            self.threshold = threshold

        def ports(self):
            yield None, Parameter("Mode"), None, 1.0

        def inside(self, position, value):
            return value, ""

        def sound(self, values):
            return np.array([[1.0 + (values[0] > self.threshold)]])

    body = struct.pack(">4sI4sII28sf", b"FxCk", 1, b"ECHO", 1, 1, b"", 1.0)
    program = struct.pack(">4sI", b"CcnK", len(body)) + body
    refuse_other_sound(Switch(0.5), program, [0.6], np.array([0.6]))
    with pytest.raises(
        EffectLoadError, match=r"echo.so: its presets store Mode 0.6 as 1 \(normalised\), which sounds different"
    ):
        refuse_other_sound(Switch(0.8), program, [0.6], np.array([0.6]))


def test_a_plugin_that_loads_no_preset_of_its_own_says_so(tmp_path: Path) -> None:
    for library in ("pedalboard", "dawdreamer"):
        failing = pytest.raises(EffectLoadError, match=r"ZamAutoSat.*does not load a preset of its own")
        with load(f"{library}:ZamAutoSat.vst3") as effect, failing:
            effect.save_preset(tmp_path / "a.vstpreset")


@pytest.mark.parametrize("name", ["DX10", "Overdrive", "Detune"])
def test_an_lv2_bundle_is_a_preset_of_the_plugin(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.lv2"
    with load(f"{MDA}{name}", parameters="all") as effect:
        sound = Notes.one("C4", 0.1).lasting(0.2) if effect.takes == "notes" else audio()
        for point in (effect.parameters.defaults, somewhere(effect)):
            effect.save_preset(path, point, name='Not "quite"\nplain é')
            (preset,) = effect.presets(path)
            assert preset.name == 'Not "quite"\nplain é'
            assert len(preset.settings) == len(effect.parameters)
            assert np.array_equal(effect.render(sound, preset.p), effect.render(sound, point)), "to the bit"
    assert sorted(entry.name for entry in path.iterdir()) == ["manifest.ttl", "preset.ttl"]
    if shutil.which("lv2info") is None:
        return
    monkeypatch.setenv("LV2_PATH", f"{tmp_path}:/usr/lib/lv2")
    told = subprocess.run(["lv2info", MDA.partition(":")[2] + name], capture_output=True, text=True, timeout=60, check=True)
    assert 'Not "quite"' in told.stdout
    assert "mine.lv2" not in told.stderr


def test_a_bundle_holds_the_numbers_that_the_ports_get(tmp_path: Path) -> None:
    with load("dawdreamer:urn:zamaudio:ZamEQ2", parameters="all") as effect:
        p = somewhere(effect)
        effect.save_preset(tmp_path / "a.lv2", p)
        native = effect.parameters.to_native(p)
    text = (tmp_path / "a.lv2" / "preset.ttl").read_text("utf-8")
    values = dict(re.findall(r'lv2:symbol "(\w+)" ;\s+pset:value (\S+)', text))
    assert float(values["boost1"]) == pytest.approx(native["Boost/Cut 1"], rel=1e-5)
    assert float(values["f1"]) == pytest.approx(native["Frequency 1"], rel=1e-5), "Hz, on its logarithmic scale"


@pytest.mark.parametrize("name", sorted(["LadderFilter", "Reverb", "GSMFullRateCompressor", "Compressor", "Invert"]))
def test_python_makes_pedalboard_s_own_effects(name: str, tmp_path: Path) -> None:
    with load(f"pedalboard-builtin:{name}", parameters="all") as effect:
        p = somewhere(effect)
        effect.save_preset(tmp_path / "mine.py", p)
        sound = effect.render(audio(), p)
    made = runpy.run_path(str(tmp_path / "mine.py"))["effect"]
    assert isinstance(made, getattr(pedalboard, name))
    assert np.array_equal(made(audio(), 44100.0, buffer_size=8192), sound)


def test_a_chain_has_a_folder_with_a_preset_of_each_part(tmp_path: Path) -> None:
    address = f"pedalboard:ZamEQ2.vst3 | pedalboard-builtin:Reverb | {MDA}Delay"
    names = ["1 ZamEQ2.vstpreset", "2 Reverb.py", "3 Delay.lv2"]
    with ProcessPool(hosts=1) as pool:
        spec = EffectSpec.of(address, parameters="all")
        space = pool.open(spec).parameters
        p = space.snap(np.random.default_rng(2).uniform(0.2, 0.8, len(space)))
        for host in (pool, InProcessHost()):
            save_preset_in(host, spec, tmp_path / "chain", p)  # the second replaces the first
            assert sorted(entry.name for entry in (tmp_path / "chain").iterdir()) == names
    with load(f"{MDA}Delay", parameters="all") as delay:
        (preset,) = delay.presets(tmp_path / "chain")
        assert np.allclose(preset.p, p[-len(delay.parameters) :], atol=1e-6)
    (tmp_path / "chain" / "mine.txt").write_text("keep me")
    with pytest.raises(AudioError, match="holds other things, such as mine.txt"):
        save_preset_in(InProcessHost(), spec, tmp_path / "chain", p)
    with pytest.raises(AudioError, match=r"name a folder, .*all: it gets 1 ZamEQ2.vstpreset, 2 Reverb.py, 3 Delay.lv2"):
        save_preset_in(InProcessHost(), spec, tmp_path / "all.vstpreset", p)


def test_what_cannot_be_saved_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    class Unopened:
        """A host that opens nothing."""

    host, wav = Unopened(), tmp_path / "a.vstpreset"
    for address, path, error, message in (
        ("reference:gain", wav, EffectLoadError, "has no format of presets; --parameters FILE"),
        ("faust:process = _;", wav, EffectLoadError, "has no format of presets"),
        (
            "reference:gain | pedalboard-builtin:Reverb",
            tmp_path / "a",
            EffectLoadError,
            "reference:gain has no format of presets",
        ),
        ("pedalboard:ZamEQ2.vst3", tmp_path / "a.fxp", AudioError, r"is \.vstpreset, not \.fxp"),
        ("dawdreamer:ZamDelay-vst.so", wav, AudioError, r"is \.fxp or \.fxb, not \.vstpreset"),
        (f"{MDA}DX10", wav, AudioError, r"is \.lv2, not \.vstpreset"),
        ("pedalboard-builtin:Reverb", tmp_path / "no" / "a.py", AudioError, "does not exist; make it first"),
    ):
        with pytest.raises(error, match=message):
            save_preset_in(host, EffectSpec.of(address), path)  # type: ignore[arg-type]
    moving = Automated("pedalboard-builtin:Reverb", 3, ["damping"], seconds=1.0).spec
    with pytest.raises(EffectLoadError, match="settings that stay, and these move"):
        save_preset_in(host, moving, tmp_path / "a.py")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
