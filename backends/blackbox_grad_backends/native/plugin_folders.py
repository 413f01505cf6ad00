"""Installed plug-ins: the usual folders of Linux, macOS and Windows, and their content.

Nothing here opens a plug-in. The environment variables `VST3_PATH`, `VST_PATH` and `LV2_PATH` replace the usual folders of
their kind, as in other hosts (several folders are separated as in `PATH`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from blackbox_grad.errors import suggest

PluginKind: TypeAlias = Literal["vst3", "vst2", "lv2"]

_VARIABLES: dict[PluginKind, str] = {"vst3": "VST3_PATH", "vst2": "VST_PATH", "lv2": "LV2_PATH"}

_LINUX: dict[PluginKind, tuple[str, ...]] = {
    "vst3": ("~/.vst3", "/usr/local/lib/vst3", "/usr/lib/vst3", "/usr/lib64/vst3"),
    "vst2": ("~/.vst", "/usr/local/lib/vst", "/usr/lib/vst", "/usr/lib64/vst", "/usr/local/lib/lxvst", "/usr/lib/lxvst"),
    "lv2": ("~/.lv2", "/usr/local/lib/lv2", "/usr/lib/lv2", "/usr/lib64/lv2"),
}

_MACOS: dict[PluginKind, tuple[str, ...]] = {
    "vst3": ("~/Library/Audio/Plug-Ins/VST3", "/Library/Audio/Plug-Ins/VST3"),
    "vst2": ("~/Library/Audio/Plug-Ins/VST", "/Library/Audio/Plug-Ins/VST"),
    "lv2": (
        "~/.lv2",
        "~/Library/Audio/Plug-Ins/LV2",
        "/Library/Audio/Plug-Ins/LV2",
        "/opt/homebrew/lib/lv2",
        "/usr/local/lib/lv2",
    ),
}

_WINDOWS: dict[PluginKind, tuple[str, ...]] = {
    "vst3": ("%LOCALAPPDATA%/Programs/Common/VST3", "%COMMONPROGRAMFILES%/VST3"),
    "vst2": ("%PROGRAMFILES%/VSTPlugins", "%PROGRAMFILES%/Steinberg/VSTPlugins", "%COMMONPROGRAMFILES%/VST2"),
    "lv2": ("%APPDATA%/LV2", "%COMMONPROGRAMFILES%/LV2"),
}


def suffix(kind: PluginKind) -> str:
    """The file name suffix of a kind on this system: `.vst3`; `.so`, `.vst` or `.dll` for VST2; `.lv2`."""
    if kind != "vst2":
        return f".{kind}"
    return {"darwin": ".vst", "win32": ".dll"}.get(sys.platform, ".so")


def folders(kind: PluginKind) -> list[Path]:
    """Existing folders that may hold plug-ins of this kind, in the order of search."""
    listed = os.environ.get(_VARIABLES[kind])
    if listed is not None:
        names = [name for name in listed.split(os.pathsep) if name]
    else:
        names = list({"darwin": _MACOS, "win32": _WINDOWS}.get(sys.platform, _LINUX)[kind])
    paths = (Path(os.path.expandvars(name)).expanduser() for name in names)
    return [path for path in dict.fromkeys(paths) if path.is_dir()]


def known(names: Iterable[str], wanted: str) -> str:
    """The tail of an error about a plug-in that is not there: its neighbours, or where to get some."""
    if names := list(names):
        return suggest(wanted, names)
    free = "; on Debian and Ubuntu, mda-lv2 and zam-plugins have free ones" if sys.platform == "linux" else ""
    return f"none at all is in the folders where hosts look for plug-ins{free}"


def installed(kind: PluginKind) -> Iterator[Path]:
    """Files and bundles of this kind, also in sub-folders; a bundle counts as one."""
    seen: set[str] = set()
    for folder in folders(kind):
        yield from _bundles(folder, suffix(kind), seen)


def bundles_in(folder: Path) -> Iterator[Path]:
    """LV2 bundles in a folder, and in the folders in it; the folder itself if it is one."""
    if (folder / "manifest.ttl").is_file():
        yield folder
        return
    yield from _bundles(folder, suffix("lv2"), set())


def find(name: str, kind: PluginKind) -> Path | None:
    """The installed plug-in with this file name ("ZamTube.vst3", "ZamTube"); None if no plug-in has it.

    An exact name takes precedence over one that differs in case.
    """
    wanted = name if name.lower().endswith(suffix(kind)) else name + suffix(kind)
    if os.path.basename(wanted) != wanted:
        return None
    loose = None
    for path in installed(kind):
        if path.name == wanted:
            return path
        if loose is None and path.name.lower() == wanted.lower():
            loose = path
    return loose


def _bundles(folder: Path, ending: str, seen: set[str]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:  # links may form a circle
        return
    seen.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.name.lower().endswith(ending) or (ending == ".lv2" and (entry / "manifest.ttl").is_file()):
            yield entry
        elif entry.is_dir() and entry.suffix.lower() not in (".vst3", ".vst", ".lv2", ".component"):
            yield from _bundles(entry, ending, seen)
