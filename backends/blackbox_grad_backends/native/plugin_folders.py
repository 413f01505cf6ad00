"""Installed plug-ins: the usual folders of Linux, macOS and Windows, and their content.

Nothing here opens a plug-in. The environment variables `VST3_PATH`, `VST_PATH` and `LV2_PATH` replace the usual folders of
their kind, as in other hosts (several folders are separated as in `PATH`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote

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

#: LV2 classes of plug-ins that play notes. (GeneratorPlugin is no evidence: MDA BeatBox is one, and has inputs.)
_INSTRUMENTS = ("InstrumentPlugin", "MIDIPlugin")

_LV2 = "http://lv2plug.in/ns/lv2core#"

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

_SEE_ALSO = "http://www.w3.org/2000/01/rdf-schema#seeAlso"


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


def installed(kind: PluginKind) -> Iterator[Path]:
    """Files and bundles of this kind, also in sub-folders; a bundle counts as one."""
    seen: set[str] = set()
    for folder in folders(kind):
        yield from _bundles(folder, suffix(kind), seen)


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


def lv2_uris() -> Iterator[str]:
    """URIs of the installed LV2 effects, read from the bundles' Turtle files.

    Leaves out instruments, if their files say that they are.
    """
    seen: set[str] = set()
    for bundle in installed("lv2"):
        for uri, description in _plugins(bundle):
            if uri not in seen and not _is_instrument(uri, description):
                seen.add(uri)
                yield uri


def lv2_library(uri: str) -> Path | None:
    """The shared library of an installed LV2 plug-in, which may be missing; None for an unknown URI."""
    for bundle in installed("lv2"):
        for subject, statements in _subjects(bundle / "manifest.ttl"):
            if subject == uri and (names := statements.get(f"{_LV2}binary")):
                return bundle / unquote(names[0])
    return None


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
        if entry.name.lower().endswith(ending):
            yield entry
        elif entry.is_dir() and entry.suffix.lower() not in (".vst3", ".vst", ".lv2", ".component"):
            yield from _bundles(entry, ending, seen)


def _plugins(bundle: Path) -> Iterator[tuple[str, Path]]:
    """URI of each plug-in of a bundle, and the file that describes it."""
    manifest = bundle / "manifest.ttl"
    for subject, statements in _subjects(manifest):
        if f"{_LV2}Plugin" in statements.get("a", ()):
            described = statements.get(_SEE_ALSO, ["manifest.ttl"])[0]
            yield subject, bundle / unquote(described)


def _is_instrument(uri: str, description: Path) -> bool:
    classes = {name for subject, s in _subjects(description) if subject == uri for name in s.get("a", ())}
    return any(f"{_LV2}{name}" in classes for name in _INSTRUMENTS)


# The part of Turtle that a manifest needs: prefixes, subjects, their plain predicates and objects. Brackets are skipped.
# https://www.w3.org/TR/turtle/
_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"""|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''  # text
    r"|<[^<>\"\s]*>|\#[^\n]*|[\[\]();,]|\.(?=\s|$)"  # IRI, comment, punctuation
    r"|(?:[^\s\[\]();,<>\"'\#.]|\.(?!\s|$))+",  # prefixed name, number, keyword
    re.DOTALL,
)


def _subjects(path: Path) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Each subject of a Turtle file with its predicates and their objects, with full IRIs. Empty for an unreadable file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    prefixes: dict[str, str] = {}
    statement: list[str] = []
    depth = 0
    for token in _TOKEN.findall(text):
        if token.startswith("#"):
            continue
        depth += (token in "[(") - (token in "])")
        if token == "." and depth == 0:
            if statement and statement[0].lower() in ("@prefix", "prefix"):
                if len(statement) == 3:
                    prefixes[statement[1].rstrip(":")] = statement[2].strip("<>")
            elif statement:
                yield _statement([_iri(t, prefixes) for t in statement])
            statement = []
        elif depth == 0 and token not in "])":
            statement.append(token)


def _statement(tokens: list[str]) -> tuple[str, dict[str, list[str]]]:
    """`subject predicate object , object ; predicate object` -> subject, {predicate: objects}."""
    found: dict[str, list[str]] = {}
    predicate = ""
    for token in tokens[1:]:
        if token == ";":
            predicate = ""
        elif not predicate:
            predicate = "a" if token == f"{_RDF}type" else token
        elif token != ",":
            found.setdefault(predicate, []).append(token)
    return tokens[0], found


def _iri(token: str, prefixes: dict[str, str]) -> str:
    if token.startswith("<"):
        return token[1:-1]
    prefix, colon, name = token.partition(":")
    return prefixes[prefix] + name if colon and prefix in prefixes and token[0] not in "\"'" else token
