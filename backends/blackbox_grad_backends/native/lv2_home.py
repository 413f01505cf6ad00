"""A home folder in which DawDreamer finds an LV2 plug-in that it would not find, or would misread.

DawDreamer's host, JUCE, looks into `~/.lv2` and a few folders of the system: it takes no notice of `LV2_PATH` and sub-folders. It
takes a range that is given in multiples of the sample rate (`lv2:sampleRate`) for Hz, and refuses a plug-in that requires
`lv2:isLive`, which asks nothing of a host. It leaves optional audio inputs unconnected: side chains cannot be used, and calf's
EnvelopeFilter crashes when its own is turned on. It connects nothing if two inputs have the same designation: xfade, with two left
ones, crashes. A temporary home with a `.lv2` that holds the plug-in with other words about these mends it. It comes before all
other folders.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from blackbox_grad.dependencies import library
from blackbox_grad_backends.native.lv2_description import LV2, RDF, RDFS, PluginDescription, Port
from blackbox_grad_backends.native.lv2_parameters import port_range

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

    Keep it until the plug-in is closed: the plug-in may read files of its bundle later.

    Args:
        plugin: as its files describe it.
        sample_rate: Hz.
    """

    def __init__(self, plugin: PluginDescription, sample_rate: float) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        misread = any("sampleRate" in port.properties for port in plugin.controls) or not NEEDLESS.isdisjoint(plugin.required)
        misread = misread or bool(_optional(plugin) or _ambiguous(plugin))
        if not misread and _is_seen(plugin.bundle):
            return
        self._folder = tempfile.TemporaryDirectory(prefix="blackbox-grad-lv2-", ignore_cleanup_errors=True)
        bundle = Path(self._folder.name) / ".lv2" / plugin.bundle.name
        bundle.parent.mkdir()
        if misread:
            _rewrite(plugin, in_hz(plugin, sample_rate), bundle)
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


def _is_seen(bundle: Path) -> bool:
    """Whether JUCE finds a bundle by itself: the folders that it looks into hold bundles, and no sub-folders of them."""
    is_64 = sys.platform == "linux" and any(map(os.path.exists, _FOLDERS_64))
    folders = ("~/.lv2", *_FOLDERS_64) if is_64 else _FOLDERS.get(sys.platform, _FOLDERS["linux"])
    real = os.path.realpath(bundle.parent)
    return any(real == os.path.realpath(os.path.expanduser(os.path.expandvars(folder))) for folder in folders)


def _optional(plugin: PluginDescription) -> set[str]:
    """Symbols of the audio inputs that a host may leave unconnected."""
    return {port.symbol for port in plugin.of("audio") if "connectionOptional" in port.properties}


def _ambiguous(plugin: PluginDescription) -> set[str]:
    """Symbols of the audio ports outside of groups if two of one direction have the same designation."""
    found: set[str] = set()
    for is_input in (True, False):
        alone = [port for port in plugin.of("audio", is_input) if not port.group]
        designations = [port.designation for port in alone if port.designation]
        if len(set(designations)) < len(designations):
            found |= {port.symbol for port in alone}
    return found


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source.absolute(), target_is_directory=source.is_dir())
    except OSError:  # no links here
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)


def _rewrite(plugin: PluginDescription, wanted: PluginDescription, bundle: Path) -> None:
    """A bundle with the same content, in which the Turtle says what `wanted` says of the ranges of controls.

    No audio input is optional there, and no designation ambiguous.
    """
    ox = library("pyoxigraph", "opening an LV2 plug-in")
    bundle.mkdir()
    for entry in plugin.bundle.iterdir():
        if entry.suffix != ".ttl":
            _link(entry, bundle / entry.name)
    ranges = {port.symbol: port for port in wanted.controls}
    changed = {port.symbol for port in plugin.controls if "sampleRate" in port.properties}
    optional, ambiguous = _optional(plugin), _ambiguous(plugin)
    fields = {f"{LV2}minimum": "minimum", f"{LV2}maximum": "maximum", f"{LV2}default": "default"}
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
    symbols = {s.subject: s.object.value for s in statements if s.predicate.value == f"{LV2}symbol"}
    kept = []
    for s in statements:
        name, value = s.predicate.value, getattr(s.object, "value", "")
        ours = isinstance(s.subject, ox.BlankNode) and symbols.get(s.subject) in changed
        symbol = symbols.get(s.subject)
        needless = name == f"{LV2}requiredFeature" and value in NEEDLESS
        unplugged = symbol in optional and value == f"{LV2}connectionOptional"
        designated = symbol in ambiguous and name == f"{LV2}designation"
        unwanted = needless or unplugged or designated or name == f"{RDFS}seeAlso"
        if unwanted or (ours and (name in fields or value == f"{LV2}sampleRate")):
            continue
        kept.append(ox.Triple(s.subject, s.predicate, s.object))
    for node, symbol in symbols.items():
        if isinstance(node, ox.BlankNode) and symbol in changed:
            for predicate, field in fields.items():
                number = ox.Literal(repr(float(getattr(ranges[symbol], field))), datatype=ox.NamedNode(_DECIMAL))
                kept.append(ox.Triple(node, ox.NamedNode(predicate), number))
    uri, description = ox.NamedNode(plugin.uri), bundle / "description.ttl"
    manifest = [
        ox.Triple(uri, ox.NamedNode(f"{RDF}type"), ox.NamedNode(f"{LV2}Plugin")),
        ox.Triple(uri, ox.NamedNode(f"{RDFS}seeAlso"), ox.NamedNode(description.as_uri())),
    ]
    if plugin.binary is not None:
        manifest.append(ox.Triple(uri, ox.NamedNode(f"{LV2}binary"), ox.NamedNode((bundle / plugin.binary.name).as_uri())))
    for path, triples in ((description, kept), (bundle / "manifest.ttl", manifest)):
        ox.serialize(triples, str(path), format=ox.RdfFormat.TURTLE)


_DECIMAL = "http://www.w3.org/2001/XMLSchema#double"
