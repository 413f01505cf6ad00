"""Installed plug-ins are found by file name, without opening any."""

from __future__ import annotations

import sys

import pytest

from blackbox_grad import load
from blackbox_grad.errors import EffectNotFoundError
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.plugin_folders import find, folders, installed


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


def test_an_lv2_bundle_is_a_folder_with_a_manifest(own_folder):
    for name in ("Echo.lv2", "b_whirl", "maker/Delay"):
        (own_folder / name).mkdir(parents=True)
        (own_folder / name / "manifest.ttl").touch()
    (own_folder / "notes").mkdir()
    assert list(installed("lv2")) == [own_folder / name for name in ("Echo.lv2", "b_whirl", "maker/Delay")]


@pytest.mark.plugins
def test_debians_plugins_are_found():
    assert find("ZamTube", "vst3") is not None
    assert find("ZamDelay-vst.so", "vst2") is not None
    assert find("mda", "lv2") is not None


@pytest.mark.parametrize("address", ["ZamTube.vst3", "dawdreamer:ZamTube.vst3", "urn:zamaudio:ZamTube"])
def test_without_any_plugin_the_error_says_so(own_folder, address):
    with pytest.raises(EffectNotFoundError, match="none at all is in the folders where hosts look for plug-ins"):
        load(address)
