"""Installed plug-ins are found by file name, and LV2 effects by URI, without opening any."""

from __future__ import annotations

import sys

import pytest

from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.plugin_folders import find, folders, installed, lv2_library, lv2_uris

MANIFEST = """
@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix own: <http://example.org/own/> .
# a comment with a . and a "
<http://example.org/author#me> rdfs:label "A lv2:Plugin. \\" <x> ." .
own:Echo
    a lv2:Plugin , lv2:DelayPlugin ;
    rdfs:seeAlso <Echo%20one.ttl> ;
    lv2:port [ a lv2:InputPort ; lv2:name "a.b" ] , [ a lv2:OutputPort ] .
<urn:example:synth> a lv2:Plugin; rdfs:seeAlso <synth.ttl>.
<urn:example:gain> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://lv2plug.in/ns/lv2core#Plugin> ;
    lv2:binary <gain.so> .
<urn:example:preset> a <http://lv2plug.in/ns/ext/presets#Preset> ; lv2:appliesTo own:Echo .
"""
SYNTH = """
@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
<urn:example:synth> a lv2:InstrumentPlugin , lv2:Plugin ; lv2:name \"\"\"a "quoted" . name\"\"\" .
"""


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    for variable in ("VST3_PATH", "VST_PATH", "LV2_PATH"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


def test_the_variables_replace_the_usual_folders(tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("VST3_PATH", f"{other}{':' if sys.platform != 'win32' else ';'}{tmp_path}")
    assert folders("vst3") == [other, tmp_path]
    monkeypatch.setenv("VST3_PATH", str(tmp_path / "missing"))
    assert folders("vst3") == []


@pytest.mark.parametrize("kind", ["vst3", "vst2", "lv2"])
def test_bundles_are_found_in_subfolders_and_not_entered(own_folder, kind):
    ending = plugin_folders.suffix(kind)
    bundle = own_folder / "maker" / f"Echo{ending}"
    (bundle / "Contents" / f"Inner{ending}").mkdir(parents=True)
    (own_folder / "notes.txt").touch()
    assert list(installed(kind)) == [bundle]


def test_links_in_a_circle_end(own_folder):
    (own_folder / "again").symlink_to(own_folder)
    (own_folder / "Echo.vst3").touch()
    assert list(installed("vst3")) == [own_folder / "Echo.vst3"]


def test_a_name_is_found_with_and_without_suffix_and_exact_case_wins(own_folder):
    for name in ("ECHO.vst3", "Echo.vst3"):
        (own_folder / name).touch()
    assert find("Echo", "vst3") == find("Echo.vst3", "vst3") == own_folder / "Echo.vst3"
    assert find("echo.VST3", "vst3") == own_folder / "ECHO.vst3"
    assert find("Delay", "vst3") is None
    assert find("maker/Echo", "vst3") is None


def test_lv2_effects_are_read_from_manifests_and_instruments_left_out(own_folder):
    bundle = own_folder / "own.lv2"
    bundle.mkdir()
    (bundle / "manifest.ttl").write_text(MANIFEST)
    (bundle / "synth.ttl").write_text(SYNTH)
    (own_folder / "empty.lv2").mkdir()
    for number, broken in enumerate(("@prefix lv2:", "@prefix .\n@prefix lv2: .\n<a> a lv2:Plugin .", "[[ <", "\x00\xff")):
        (own_folder / f"broken{number}.lv2").mkdir()
        (own_folder / f"broken{number}.lv2" / "manifest.ttl").write_text(broken, encoding="latin-1")
    assert list(lv2_uris()) == ["http://example.org/own/Echo", "urn:example:gain"]
    assert lv2_library("urn:example:gain") == bundle / "gain.so"
    assert lv2_library("urn:example:nothing") is None


@pytest.mark.plugins
def test_debians_plugins_are_found():
    uris = set(lv2_uris())
    assert {
        "http://drobilla.net/plugins/mda/Overdrive",
        "http://drobilla.net/plugins/mda/BeatBox",
        "urn:zamaudio:ZamComp",
    } <= uris
    assert not {f"http://drobilla.net/plugins/mda/{name}" for name in ("Piano", "EPiano", "DX10", "JX10")} & uris
    assert find("ZamTube", "vst3") is not None
    assert find("ZamDelay-vst.so", "vst2") is not None
