"""Presets of real plug-ins, as points: they sound as the plug-in's own host would have it, in every process."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import dawdreamer
import numpy as np
import pedalboard
import pytest

from blackbox_grad import Automated, EffectSpec, InProcessHost, Notes, ProcessPool, load
from blackbox_grad.effects import Presets, SelectedEffect
from blackbox_grad.errors import AudioError, EffectLoadError, HostError, ParameterError
from blackbox_grad.hosts import presets_in
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.lv2_bundles import bundle_of

MDA = "dawdreamer:http://drobilla.net/plugins/mda/"
DX10 = f"{MDA}DX10"

pytestmark = pytest.mark.plugins


def noise(channels: int, samples: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (channels, samples)).astype(np.float32)


@pytest.fixture(scope="module")
def dx10() -> Iterator[SelectedEffect]:
    with load(DX10, parameters="all") as effect:
        yield effect


@pytest.fixture(scope="module")
def eq() -> Iterator[SelectedEffect]:
    with load("pedalboard:ZamEQ2.vst3", parameters="all") as effect:
        yield effect


def test_an_lv2_preset_sounds_as_with_its_values_in_the_ports(dx10: SelectedEffect) -> None:
    bundle = bundle_of("http://drobilla.net/plugins/mda/DX10")
    assert bundle is not None
    text = (bundle / "DX10-presets.ttl").read_text("utf-8")
    presets = dx10.presets()
    assert list(presets.names) == re.findall(r'rdfs:label "([^"]+)"', text)
    values = [float(v) for v in re.findall(r"pset:value ([\d.]+)", text.split("pset:Preset ;")[5])]
    symbols = re.findall(r'lv2:symbol "([^"]+)"', text.split("pset:Preset ;")[5])
    engine = dawdreamer.RenderEngine(44100, 512)
    synth = engine.make_plugin_processor("synth", DX10.partition(":")[2])
    indices = {d["name"].lower().replace(" ", "_"): d["index"] for d in synth.get_parameters_description()}
    synth.add_midi_note(60, 100, 0.0, 0.25)
    engine.load_graph([(synth, [])])
    for symbol, value in zip(symbols, values, strict=True):
        synth.set_parameter(indices[symbol], value)
    engine.render(0.5)
    sound = dx10.render(Notes.one("C4", 0.25).lasting(0.5), presets[4].p)
    assert presets[4].settings == pytest.approx(dict(zip([p.name for p in dx10.parameters], presets[4].p, strict=True)))
    assert np.allclose(sound, engine.get_audio()[:, : sound.shape[1]], atol=1e-4 * np.abs(sound).max())
    assert np.abs(sound).max() > 0.01


BUNDLE = """
@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
@prefix pset: <http://lv2plug.in/ns/ext/presets#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix state: <http://lv2plug.in/ns/ext/state#> .
@prefix mda: <http://drobilla.net/plugins/mda/> .
<urn:t:1> a pset:Preset ; lv2:appliesTo mda:Overdrive ; rdfs:label "Hot" ;
    lv2:port [ lv2:symbol "drive" ; pset:value 0.9 ] , [ lv2:symbol "muffle" ; pset:value 7 ] ,
    [ lv2:symbol "gone" ; pset:value 1 ] ;
    state:state [ <urn:t:key> "text" ] .
<urn:t:2> a pset:Preset ; lv2:appliesTo mda:Overdrive ; rdfs:label "Hot" ; lv2:port [ lv2:symbol "output" ; pset:value 0.25 ] .
<urn:t:3> a pset:Preset ; lv2:appliesTo mda:Overdrive ; rdfs:label "Opaque" ; state:state [ <urn:t:key> "text" ] .
<urn:t:4> a pset:Preset ; lv2:appliesTo mda:Delay ; rdfs:label "Elsewhere" ; lv2:port [ lv2:symbol "mix" ; pset:value 1 ] .
<urn:t:5> a pset:Preset ; lv2:appliesTo mda:Overdrive ; rdfs:label "No number" ;
    lv2:port [ lv2:symbol "drive" ; pset:value "much" ] .
"""


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    bundle = tmp_path / "mine.lv2"
    bundle.mkdir()
    (bundle / "manifest.ttl").write_text(BUNDLE, "utf-8")
    with load(f"{MDA}Overdrive", parameters=["Drive", "Output"]) as effect:
        presets = effect.presets(tmp_path)
        hot, second = presets
        assert (presets.names, list(hot.p)) == (("Hot", "Hot 2"), [pytest.approx(0.9), effect.parameters.defaults[1]])
        assert hot.normalised["Muffle"] == 1.0, "at the end of its range"
        assert list(hot.notes) == [
            "Muffle: 7 is outside 0 to 1, and was moved there",
            "it also sets gone, which the plug-in does not have",
            "it also holds a state of its own, beyond its ports",
        ]
        assert (dict(second.settings), second.notes) == ({"Output": pytest.approx(0.25)}, ())
        assert list(presets.skipped) == [
            "preset 'Opaque' of mine.lv2 holds a state of its own, and no values of ports",
            "preset 'Elsewhere' of mine.lv2 is for another plug-in, http://drobilla.net/plugins/mda/Delay",
            "preset 'No number' of mine.lv2 sets no parameter",
        ]
        with pytest.raises(AudioError, match="no such folder"):
            effect.presets(tmp_path / "missing")
        with pytest.raises(AudioError, match="no folder, but a file"):
            effect.presets(bundle / "manifest.ttl")


def test_a_bundle_of_its_own_in_the_folders_of_lv2s_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.lv2presets").mkdir()
    (tmp_path / "mine.lv2presets" / "manifest.ttl").write_text(BUNDLE, "utf-8")
    with load(f"{MDA}Overdrive") as effect:
        assert effect.presets() == []
        folders = [str(tmp_path), *map(str, plugin_folders.folders("lv2"))]
        monkeypatch.setenv("LV2_PATH", ":".join(folders))
        assert effect.presets().names == ("Hot", "Hot 2")
    with load(f"{MDA}Overdrive", preset="hot_2") as effect:
        assert effect.parameters.to_native(effect.parameters.defaults)["Output"] == pytest.approx(0.25)


def test_the_programs_of_a_vst3_are_read_in_pedalboard(eq: SelectedEffect) -> None:
    audio, defaults = noise(1, 4096), eq.parameters.defaults
    before = eq.render(audio, defaults)
    presets = eq.presets()
    assert presets.names == ("Zero", "CarvedBass", "CarvedGuitar", "CarvedVox")
    assert np.array_equal(eq.render(audio, defaults), before), "reading changes nothing"
    with load("dawdreamer:urn:zamaudio:ZamEQ2", parameters="all") as lv2:
        for program, preset in zip(presets, lv2.presets(), strict=True):  # the same settings, as text
            assert program.settings == pytest.approx(preset.settings, rel=1e-3, abs=1e-3)
    assert len({eq.render(audio, preset.p).tobytes() for preset in presets}) == 4
    with load("dawdreamer:ZamEQ2.vst3") as same:
        assert same.presets() == []
        assert re.match(r"DawDreamer does not tell what the 4 programs .*pedalboard:.*ZamEQ2.vst3$", same.presets().skipped[0])


def test_a_folder_of_vst3_presets_is_the_same_in_both_libraries(eq: SelectedEffect, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    for name, value, file in (("ZamEQ2", 12.5, "deeper/Bright.vstpreset"), ("ZamComp", -20.0, "Other.vstpreset")):
        plugin = pedalboard.VST3Plugin(str(plugin_folders.find(name, "vst3")))
        if name == "ZamEQ2":
            plugin.boost_cut_h_db = value
        plugin.process(noise(1, 4096), 44100.0)
        (tmp_path / file).write_bytes(plugin.preset_data)
    (tmp_path / "Broken.vstpreset").write_bytes((tmp_path / "Other.vstpreset").read_bytes()[:90])
    with load("dawdreamer:ZamEQ2.vst3", parameters="all") as other:
        found: list[Presets] = [effect.presets(tmp_path) for effect in (eq, other)]
        for presets in found:
            assert presets.names == ("Bright",)
            assert presets[0].settings["Boost/Cut H"] == pytest.approx(12.5, abs=0.1)
            assert len(presets.skipped) == 2
            assert "Broken.vstpreset: is cut off" in presets.skipped[0]
            assert "Other.vstpreset could not be loaded" in presets.skipped[1]
        assert np.allclose(found[0][0].p, found[1][0].p, atol=1e-6)
        audio, defaults = noise(1, 4096), other.parameters.defaults
        assert np.allclose(other.render(audio, defaults), eq.render(audio, defaults), atol=1e-3), "as before"


def program(name: str, values: list[float], identity: bytes = b"ZMDL") -> bytes:
    body = struct.pack(">4sI4sII28s", b"FxCk", 1, identity, 0x00040100, len(values), name.encode())
    body += struct.pack(f">{len(values)}f", *values)
    return struct.pack(">4sI", b"CcnK", len(body)) + body


def test_programs_and_banks_of_a_vst2_are_read_from_files(tmp_path: Path) -> None:
    with load("dawdreamer:ZamDelay-vst.so", parameters="all") as effect:
        assert effect.presets() == [], "its one program is how it starts"
        count = max(effect._effect.indices) + 1  # type: ignore[attr-defined]
        rows = [[0.25 + 0.5 * k] * count for k in range(2)]
        programs = b"".join(program(name, row) for name, row in zip(("Near", ""), rows, strict=True))
        body = struct.pack(">4sI4sII128s", b"FxBk", 1, b"ZMDL", 0x00040100, 2, b"") + programs
        (tmp_path / "bank.fxb").write_bytes(struct.pack(">4sI", b"CcnK", len(body)) + body)
        (tmp_path / "one.fxp").write_bytes(program("", rows[0]))
        (tmp_path / "other.fxp").write_bytes(program("", rows[0], b"ELSE"))
        presets = effect.presets(tmp_path)
        assert presets.names == ("bank: Near", "bank: 2", "one")
        free = [i for i, p in enumerate(effect.parameters) if p.kind == "continuous"]
        assert np.allclose(presets[0].p[free], 0.25)
        assert np.allclose(presets[1].p[free], 0.75)
        assert np.array_equal(presets[0].p, presets[2].p)
        assert "other.fxp: is of another plug-in" in presets.skipped[0]


def test_hosts_read_them_where_the_plugin_is_open(dx10: SelectedEffect) -> None:
    notes, here = Notes.one("C3", 0.1).lasting(0.2), dx10.presets()
    packed = notes.packed(44100.0)[None]
    with ProcessPool(hosts=1) as pool:
        for host in (pool, InProcessHost()):
            there = presets_in(host, dx10.spec)
            assert [(p.name, p.p.tolist(), dict(p.settings)) for p in there] == [
                (p.name, p.p.tolist(), dict(p.settings)) for p in here
            ]
        named = EffectSpec.of(DX10, parameters="all", preset="Koto")
        defaults = pool.open(named).parameters.defaults
        assert np.array_equal(defaults, here.named("koto").p)
        y, _ = pool.render_batch(named, packed, defaults[None])
        assert np.array_equal(y[0], dx10.render(notes, here.named("Koto").p))
        chained = EffectSpec.of(f"{DX10} | reference:gain", parameters="all", preset="MDA DX10: Koto")
        assert np.array_equal(pool.open(chained).parameters.defaults[: len(defaults)], defaults)
        with pytest.raises(AudioError, match=r"mda/DX10: .*no such folder"):
            presets_in(pool, dx10.spec, "/no/such/folder")
        assert presets_in(pool, EffectSpec.of("reference:gain")) == []


def test_a_name_that_no_preset_has_gets_its_neighbours(dx10: SelectedEffect) -> None:
    with pytest.raises(ParameterError, match="no preset 'Kotto'; did you mean 'Koto'"):
        dx10.presets().named("Kotto")
    with pytest.raises(EffectLoadError, match="mda/DX10: no preset 'Kotto'; did you mean 'Koto'"):
        load(DX10, preset="Kotto")
    with pytest.raises(EffectLoadError, match="no preset 'Warm': the plug-in has none; name a file"):
        load("dawdreamer:ZamDelay-vst.so", preset="Warm")
    with pytest.raises(EffectLoadError, match="is not a file"):
        load("dawdreamer:ZamDelay-vst.so", preset="Warm.fxp")


def test_fixed_settings_stand_over_a_preset(dx10: SelectedEffect) -> None:
    koto = dx10.presets().named("Koto")
    with load(DX10, parameters=["Attack"], fixed={"Coarse": 0.5}, preset="Koto") as effect:
        held = dict(zip([p.name for p in effect.parameters.everything], effect.parameters.held, strict=True))
    assert held == koto.normalised | {"Coarse": 0.5}


def test_of_an_effect_whose_settings_move_every_knot_is_the_preset_s(dx10: SelectedEffect) -> None:
    koto = dx10.presets().named("Koto")
    with load(Automated(DX10, 3, ["Vibrato"], seconds=0.5)) as moving:
        preset = moving.presets().named("Koto")
    assert [preset.normalised[f"Vibrato @ {t} s"] for t in ("0.00", "0.25", "0.50")] == [koto.normalised["Vibrato"]] * 3
    assert preset.normalised["Coarse"] == koto.normalised["Coarse"]


class Deaf:
    """A host of another package, without `ask`."""

    def render_batch(self) -> None: ...


def test_a_host_that_asks_nothing_says_so() -> None:
    with pytest.raises(HostError, match="Deaf does not ask effects for presets; use the host processes"):
        presets_in(Deaf(), EffectSpec.of("reference:gain"))  # type: ignore[arg-type]
