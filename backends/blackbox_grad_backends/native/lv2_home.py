"""A home folder in which DawDreamer finds an LV2 plug-in that it would not find, or would misread.

DawDreamer's host, JUCE, looks into `~/.lv2` and a few folders of the system: it takes no notice of `LV2_PATH` and sub-folders. It
misreads some descriptions (`Lv2Home` lists how). Both are mended by a temporary home with a `.lv2` that holds the plug-in, with
another description if need be. It comes before all other folders.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from blackbox_grad.dependencies import library
from blackbox_grad_backends.native.lv2_description import PluginDescription, Port
from blackbox_grad_backends.native.lv2_parameters import port_range
from blackbox_grad_backends.native.lv2_reading import LV2, RDF, RDFS
from blackbox_grad_backends.native.turtle import local_name

_FOLDERS: dict[str, tuple[str, ...]] = {
    "darwin": ("~/Library/Audio/Plug-Ins/LV2", "~/.lv2", "/usr/local/lib/lv2", "/usr/lib/lv2", "/Library/Audio/Plug-Ins/LV2"),
    "win32": ("%APPDATA%/LV2", "%COMMONPROGRAMFILES%/LV2"),
    "linux": ("~/.lv2", "/usr/lib/lv2", "/usr/local/lib/lv2"),
}

#: If one of these exists on Linux, JUCE looks into these two instead.
_FOLDERS_64 = ("/usr/lib64/lv2", "/usr/local/lib64/lv2")


#: Features that a plug-in may require and that are promises to it or hints about it: there is nothing to offer.
NEEDLESS = frozenset({f"{LV2}isLive", f"{LV2}hardRTCapable"})


def in_hz(plugin: PluginDescription, sample_rate: float) -> PluginDescription:
    """The same plug-in with the ranges that are given in multiples of the sample rate in Hz."""
    return replace(plugin, ports=tuple(_in_hz(port, sample_rate) for port in plugin.ports))


def _in_hz(port: Port, sample_rate: float) -> Port:
    if "sampleRate" not in port.properties:
        return port
    low, high = port_range(port)
    default = low if port.default is None else port.default
    # some give the default in Hz, beside a range in multiples
    default = default * sample_rate if low <= default <= high else default
    low, high = low * sample_rate, high * sample_rate
    return replace(
        port, minimum=low, maximum=high, default=min(max(default, low), high), unit=port.unit or "Hz",
        properties=port.properties - {"sampleRate"},
    )  # fmt: skip


class Lv2Home:
    """The folder that DawDreamer needs beside its own to open a plug-in: none for most.

    The plug-in gets another description there if

    - ranges are in multiples of the sample rate (`lv2:sampleRate`), which JUCE takes for Hz;
    - it requires `lv2:isLive`, which asks nothing of a host, and which JUCE does not know;
    - two ports are both called left: JUCE connects one of them, and the plug-in crashes (x42's xfade);
    - a side chain may be left unconnected: JUCE leaves it so, and it could not be heard (calf's SidechainCompressor).

    Keep it until the plug-in is closed: the plug-in may read files of its bundle later.

    Args:
        plugin: as its files describe it.
        sample_rate: Hz.
    """

    def __init__(self, plugin: PluginDescription, sample_rate: float) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        corrected = _corrected(plugin, sample_rate)
        if corrected == plugin and _is_seen(plugin.bundle):
            return
        self._folder = tempfile.TemporaryDirectory(prefix="blackbox-grad-lv2-", ignore_cleanup_errors=True)
        bundle = Path(self._folder.name) / ".lv2" / plugin.bundle.name
        bundle.parent.mkdir()
        if corrected != plugin:
            _rewrite(plugin, corrected, bundle)
        else:
            _link(plugin.bundle, bundle)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Inside the block, DawDreamer finds the plug-in. The block sets the environment variable `HOME` of this process."""
        if self._folder is None:
            yield
            return
        before = os.environ.get("HOME")
        os.environ["HOME"] = self._folder.name
        try:
            yield
        finally:
            if before is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = before

    def close(self) -> None:
        """Delete the folder. Safe to call twice."""
        if self._folder is not None:
            self._folder.cleanup()

    __del__ = close


def _is_seen(bundle: Path) -> bool:
    """Whether JUCE finds a bundle by itself: the folders that it looks into hold bundles, and no sub-folders of them."""
    is_64 = sys.platform == "linux" and any(map(os.path.exists, _FOLDERS_64))
    folders = ("~/.lv2", *_FOLDERS_64) if is_64 else _FOLDERS.get(sys.platform, _FOLDERS["linux"])
    real = os.path.realpath(bundle.parent)
    return any(real == os.path.realpath(os.path.expanduser(os.path.expandvars(folder))) for folder in folders)


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source.absolute(), target_is_directory=source.is_dir())
    except OSError:  # no links here
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)


def _corrected(plugin: PluginDescription, sample_rate: float) -> PluginDescription:
    """The description that JUCE reads as it is meant."""
    audio = [*plugin.of("audio"), *plugin.of("audio", is_input=False)]
    sides = Counter((port.is_input, port.designation) for port in audio if not port.group)
    needed = {port.group for port in audio if port.group and "connectionOptional" not in port.properties}

    def port_corrected(port: Port) -> Port:
        if port.kind == "audio" and not port.group and sides[port.is_input, port.designation] > 1:
            port = replace(port, designation="")
        if port.kind == "audio" and port.is_input and port.group not in needed:
            port = replace(port, properties=port.properties - {"connectionOptional"})
        return port

    mended = in_hz(plugin, sample_rate)
    required = tuple(feature for feature in plugin.required if feature not in NEEDLESS)
    return replace(mended, ports=tuple(map(port_corrected, mended.ports)), required=required)


def _rewrite(plugin: PluginDescription, wanted: PluginDescription, bundle: Path) -> None:
    """A bundle with the same content, whose Turtle says what `wanted` says of features and ports."""
    ox = library("pyoxigraph", "opening an LV2 plug-in")
    bundle.mkdir()
    for entry in plugin.bundle.iterdir():
        if entry.suffix != ".ttl":
            _link(entry, bundle / entry.name)
    statements: list[Any] = []
    for file in dict.fromkeys((plugin.bundle / "manifest.ttl", *plugin.files)):
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            statements += ox.parse(
                path=str(file),
                format=ox.RdfFormat.TURTLE,
                base_iri=file.absolute().as_uri(),
                lenient=True,
                rename_blank_nodes=True,
            )
    ours = {s.object for s in statements if s.predicate.value == f"{LV2}port" and s.subject.value == plugin.uri}
    names = {s.subject: s.object.value for s in statements if s.predicate.value == f"{LV2}symbol" and s.subject in ours}
    now = {port.symbol: port for port in wanted.ports}
    changed = {port.symbol for port in plugin.ports if port != now[port.symbol]}
    nodes = {node: now[symbol] for node, symbol in names.items() if symbol in changed}
    kept = [ox.Triple(s.subject, s.predicate, s.object) for s in statements if not _is_obsolete(s, nodes.get(s.subject))]
    for node, port in nodes.items():
        for name in _RANGE if port.kind == "control" else ():
            number = ox.Literal(repr(float(getattr(port, name))), datatype=ox.NamedNode(_DOUBLE))
            kept.append(ox.Triple(node, ox.NamedNode(f"{LV2}{name}"), number))
    uri, description = ox.NamedNode(plugin.uri), bundle / "description.ttl"
    manifest = [
        ox.Triple(uri, ox.NamedNode(f"{RDF}type"), ox.NamedNode(f"{LV2}Plugin")),
        ox.Triple(uri, ox.NamedNode(f"{RDFS}seeAlso"), ox.NamedNode(description.as_uri())),
    ]
    if plugin.binary is not None:
        manifest.append(ox.Triple(uri, ox.NamedNode(f"{LV2}binary"), ox.NamedNode((bundle / plugin.binary.name).as_uri())))
    for path, triples in ((description, kept), (bundle / "manifest.ttl", manifest)):
        ox.serialize(triples, str(path), format=ox.RdfFormat.TURTLE)


_RANGE = ("minimum", "maximum", "default")

_DOUBLE = "http://www.w3.org/2001/XMLSchema#double"


def _is_obsolete(statement: Any, port: Port | None) -> bool:
    """Whether a statement is left out. `port`: what its subject becomes; None if that is nothing that changes."""
    name, value = statement.predicate.value, getattr(statement.object, "value", "")
    if name == f"{RDFS}seeAlso" or (name == f"{LV2}requiredFeature" and value in NEEDLESS):
        return True
    if port is None:
        return False
    if name == f"{LV2}portProperty":
        return local_name(value) not in port.properties
    if name == f"{LV2}designation":
        return local_name(value) != port.designation
    return port.kind == "control" and name in [f"{LV2}{field}" for field in _RANGE]
