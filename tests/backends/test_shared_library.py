"""The cause is read from a damaged file before it is loaded: on real libraries."""

from __future__ import annotations

import _ctypes
import platform
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import blackbox_grad as bg
from blackbox_grad.errors import EffectLoadError
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.shared_library import trouble

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads ELF")

HERE = f"{platform.machine()}-linux"
DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "its first page": (lambda library: library[:4096], r"cut off: it has 4096 bytes of \d+"),
    "a header": (lambda library: library[:64], "cut off: it has 64 bytes"),
    "less than a header": (lambda library: library[:20], "cut off: it has 20 bytes"),
    "nothing": (lambda library: b"", "not a shared library .it starts with b''"),
    "noise": (lambda library: bytes(range(255, 0, -1)), "not a shared library"),
    "text": (lambda library: b"dear diary", "not a shared library .it starts with b'dear'"),
    "another machine": (
        lambda library: library[:18] + struct.pack("=H", 2) + library[20:],
        "for machine 2, and this program runs",
    ),
    "another system": (lambda library: b"MZ" + library[2:], "for Windows"),
}


def bundle(folder: Path, content: bytes) -> Path:
    library = folder / "Own.vst3" / "Contents" / HERE / "Own.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(content)
    return folder / "Own.vst3"


def test_nothing_is_wrong_with_a_real_library(tmp_path: Path) -> None:
    assert trouble(Path(_ctypes.__file__)) == ""
    assert trouble(bundle(tmp_path, Path(_ctypes.__file__).read_bytes())) == ""


@pytest.mark.plugins
def test_nothing_is_wrong_with_installed_plugins() -> None:
    libraries = [p for kind in ("vst3", "vst2") for p in plugin_folders.installed(kind)]
    libraries += [library for bundle in plugin_folders.installed("lv2") for library in bundle.glob("*.so")]
    assert len(libraries) > 80
    assert {p.name: trouble(p) for p in libraries if trouble(p)} == {}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("backend", ["pedalboard", "dawdreamer"])
def test_a_damaged_library_is_refused_with_the_cause_before_it_is_loaded(tmp_path: Path, damage: str, backend: str) -> None:
    harm, cause = DAMAGES[damage]
    path = bundle(tmp_path, harm(Path(_ctypes.__file__).read_bytes()))
    with pytest.raises(EffectLoadError, match=rf"Own\.vst3 .*{cause}"):
        bg.load(f"{backend}:{path}")


def test_a_bundle_without_a_library_for_this_machine_says_what_it_has(tmp_path: Path) -> None:
    library = bundle(tmp_path, b"").joinpath("Contents", HERE)
    shutil.move(library, library.with_name("sparc-linux"))
    assert trouble(tmp_path / "Own.vst3").endswith(f"Contents/{HERE}/*.so; in Contents: sparc-linux")


def test_a_library_without_its_bundle_is_named(tmp_path: Path) -> None:
    shutil.copy(_ctypes.__file__, tmp_path / "Own.vst3")
    assert trouble(tmp_path / "Own.vst3") == f"a VST3 is a folder, Own.vst3/Contents/{HERE}/Own.so, and this is a file"
