"""LV2 plug-ins say in Turtle files what they are: read from made bundles, and from Debian's."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from blackbox_grad.effects import file_stamp
from blackbox_grad_backends.native import lv2_bundles
from blackbox_grad_backends.native.lv2_description import PluginDescription
from blackbox_grad_backends.native.lv2_reading import describe, describe_all

PREFIXES = """
@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix doap: <http://usefulinc.com/ns/doap#> .
@prefix units: <http://lv2plug.in/ns/extensions/units#> .
@prefix pprops: <http://lv2plug.in/ns/ext/port-props#> .
@prefix pg: <http://lv2plug.in/ns/ext/port-groups#> .
@prefix atom: <http://lv2plug.in/ns/ext/atom#> .
@prefix midi: <http://lv2plug.in/ns/ext/midi#> .
@prefix own: <http://example.org/own/> .
"""
MANIFEST = """
# a comment with a . and a "
<http://example.org/author#me> rdfs:label "A lv2:Plugin. \\" <x> ." .
own:Echo a lv2:Plugin , lv2:DelayPlugin ; lv2:binary <echo.so> ; rdfs:seeAlso <Echo%20one.ttl> .
<urn:example:synth> a lv2:Plugin; rdfs:seeAlso <synth.ttl>.
<urn:example:gain> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://lv2plug.in/ns/lv2core#Plugin> ;
    lv2:binary <gain.so> .
<urn:example:preset> a <http://lv2plug.in/ns/ext/presets#Preset> ; lv2:appliesTo own:Echo .
"""
ECHO = """
own:Echo doap:name "Écho"@fr , "Echo"@en ;
    lv2:requiredFeature <http://lv2plug.in/ns/ext/urid#map> ;
    lv2:optionalFeature <http://lv2plug.in/ns/ext/worker#schedule> ;
    pg:mainInput own:main ;
    lv2:port [ a lv2:AudioPort , lv2:OutputPort ; lv2:index 3 ; lv2:symbol "out" ; lv2:name "Out" ] ,
    [ a lv2:AudioPort , lv2:InputPort ; lv2:index 0 ; lv2:symbol "in" ; pg:group own:main ; lv2:designation pg:left ] ,
    [ a lv2:AudioPort , lv2:InputPort ; lv2:index 2 ; lv2:symbol "key" ; pg:group own:key ] ,
    [ a lv2:InputPort , lv2:ControlPort ; lv2:index 1 ; lv2:symbol "time" ; lv2:name "Time, \\"a.b\\"" ;
      lv2:default 350 ; lv2:minimum 1.0 ; lv2:maximum 2.0e3 ; units:unit units:ms ;
      lv2:portProperty pprops:logarithmic ; pprops:rangeSteps 20 ] ,
    [ a lv2:InputPort , lv2:ControlPort ; lv2:index 4 ; lv2:symbol "mode" ; lv2:name "Mode" ;
      lv2:portProperty lv2:enumeration , lv2:integer ; lv2:minimum 0 ; lv2:maximum 1 ;
      lv2:scalePoint [ rdfs:label "Tape" ; rdf:value 1 ] , [ rdfs:label "Clean" ; rdf:value 0 ] ;
      units:unit [ a units:Unit ; units:symbol "x" ; units:render "%f x" ] ] ,
    [ a lv2:OutputPort , lv2:ControlPort ; lv2:index 5 ; lv2:symbol "late" ; lv2:portProperty lv2:reportsLatency ] ,
    [ a lv2:InputPort , lv2:ControlPort ; lv2:index 6 ; lv2:symbol "on" ; lv2:designation lv2:enabled ; lv2:minimum "no number" ] .
own:main a pg:MonoGroup , pg:InputGroup ; lv2:name "Main" .
own:key a pg:InputGroup ; pg:sideChainOf own:main .
"""
SYNTH = """
<urn:example:synth> a lv2:Plugin ; doap:name \"\"\"a "quoted" . name\"\"\" ;
    lv2:port [ a lv2:InputPort , atom:AtomPort ; atom:supports midi:MidiEvent ; lv2:index 0 ; lv2:symbol "notes" ] ,
    [ a lv2:AudioPort , lv2:OutputPort ; lv2:index 1 ; lv2:symbol "out" ] .
"""


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with LV2 plug-ins, with one bundle; and a cache of its own."""
    monkeypatch.setenv("LV2_PATH", str(tmp_path / "plugins"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = tmp_path / "plugins" / "no suffix"
    bundle.mkdir(parents=True)
    (bundle / "manifest.ttl").write_text(PREFIXES + MANIFEST)
    (bundle / "Echo one.ttl").write_text(PREFIXES + ECHO, encoding="utf-8")
    (bundle / "synth.ttl").write_text(PREFIXES + SYNTH)
    return tmp_path / "plugins"


def own(folder: Path, name: str) -> PluginDescription:
    found = describe(folder / "no suffix", name)
    assert found is not None
    return found


def test_a_plugin_is_described_as_its_files_say(own_folder: Path) -> None:
    echo = own(own_folder, "http://example.org/own/Echo")
    assert (echo.name, echo.classes, echo.binary) == ("Echo", {"DelayPlugin"}, own_folder / "no suffix" / "echo.so")
    assert (echo.required, echo.uses_worker, echo.is_effect) == (("http://lv2plug.in/ns/ext/urid#map",), True, True)
    assert [(p.symbol, p.designation) for p in echo.of("audio")] == [("in", "left"), ("key", "")]
    assert echo.side_chain == {2}
    time, mode, on = echo.controls
    assert (time.name, time.minimum, time.maximum, time.default, time.unit) == ('Time, "a.b"', 1.0, 2000.0, 350.0, "ms")
    assert (time.properties, time.steps) == ({"logarithmic"}, 20)
    assert (mode.points, mode.unit, mode.properties) == (((0.0, "Clean"), (1.0, "Tape")), "x", {"enumeration", "integer"})
    assert (on.designation, on.minimum, on.default) == ("enabled", None, None)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("units:hz", "Hz"), ("units:pc", "%"), ("units:semitone12TET", "st"), ("units:coef", ""),
        ("<http://lv2plug.in/ns/extension/units#db>", "dB"),
        ('[ units:symbol "Semi" ]', "st"), ('[ units:render "%.1f dB" ]', "dB"), ('[ units:render "%f %%" ]', "%"),
        ("own:furlong", ""),
    ],
)  # fmt: skip
def test_units_in_every_form(tmp_path: Path, written: str, text: str) -> None:
    (tmp_path / "manifest.ttl").write_text(
        f"{PREFIXES} own:A a lv2:Plugin ; lv2:port [ a lv2:InputPort , lv2:ControlPort ; lv2:index 0 ; units:unit {written} ] ."
    )
    (found,) = describe_all(tmp_path)
    assert not found.ports, "a plug-in's ports are read from the files that its manifest names"
    (tmp_path / "manifest.ttl").open("a").write("own:A rdfs:seeAlso <manifest.ttl> .")
    (found,) = describe_all(tmp_path)
    assert found.controls[0].unit == text


def test_what_takes_notes_or_no_audio_is_no_effect(own_folder: Path) -> None:
    synth = own(own_folder, "urn:example:synth")
    assert (synth.name, synth.is_instrument, synth.is_effect) == ('a "quoted" . name', True, False)
    assert list(lv2_bundles.effects()) == ["http://example.org/own/Echo", "urn:example:gain"]
    assert [(p.uri, p.takes) for p in lv2_bundles.installed()][1] == ("urn:example:synth", "notes")


def test_damaged_files_are_passed_over(own_folder: Path) -> None:
    (own_folder / "empty.lv2").mkdir()
    for number, broken in enumerate(("@prefix lv2:", "@prefix .\n@prefix lv2: .\n<a> a lv2:Plugin .", "[[ <", "\x00\xff", "é")):
        (own_folder / f"broken{number}.lv2").mkdir()
        (own_folder / f"broken{number}.lv2" / "manifest.ttl").write_text(broken, encoding="latin-1")
    (own_folder / "half.lv2").mkdir()
    (own_folder / "half.lv2" / "manifest.ttl").write_text(f"{PREFIXES} <urn:example:half> a lv2:Plugin . <urn:example:half> a")
    assert list(lv2_bundles.effects()) == ["urn:example:half", "http://example.org/own/Echo", "urn:example:gain"]
    assert lv2_bundles.bundle_of("urn:example:nothing") is None
    assert lv2_bundles.description("urn:example:nothing") is None


def test_the_list_is_remembered_until_a_file_changes(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(lv2_bundles.effects())
    with monkeypatch.context() as patch:
        patch.setattr(lv2_bundles, "describe_all", lambda bundle: pytest.fail("it has been read before"))
        assert list(lv2_bundles.effects()) == before
    (own_folder / "no suffix" / "synth.ttl").write_text(PREFIXES)
    assert "urn:example:synth" in list(lv2_bundles.effects())


def test_results_of_scans_are_kept_until_the_bundle_changes(own_folder: Path) -> None:
    address = "dawdreamer:http://example.org/own/Echo"
    before = file_stamp(address)
    assert before
    assert file_stamp(address) == before
    (own_folder / "no suffix" / "echo.so").write_bytes(b"new")
    assert file_stamp(address) != before
    assert file_stamp("dawdreamer:urn:example:nothing") == ""


def test_without_the_reader_the_message_says_how_to_install_it(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from blackbox_grad.errors import MissingDependencyError

    monkeypatch.setitem(__import__("sys").modules, "pyoxigraph", None)
    with pytest.raises(MissingDependencyError, match=r"pyoxigraph, which is not installed; run: pip install .*dawdreamer"):
        list(lv2_bundles.effects())


@pytest.mark.plugins
def test_debians_plugins_are_described() -> None:
    assert importlib.util.find_spec("pyoxigraph")
    uris = set(lv2_bundles.effects())
    mda = "http://drobilla.net/plugins/mda/"
    assert {f"{mda}Overdrive", f"{mda}BeatBox", "urn:zamaudio:ZamComp"} <= uris
    assert not {f"{mda}{name}" for name in ("Piano", "EPiano", "DX10", "JX10")} & uris
    tube = lv2_bundles.description("urn:zamaudio:ZamTube")
    assert tube is not None
    (model,) = [port for port in tube.controls if port.points]
    assert (model.name, len(model.points), model.points[0]) == ("Tone Stack Model", 25, (0.0, "1959 Bassman 5F6-A"))
    delay = lv2_bundles.description("urn:zamaudio:ZamDelay")
    assert delay is not None
    assert {port.unit for port in delay.controls} >= {"dB", "ms", "Hz"}
