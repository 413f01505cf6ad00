"""Reads the descriptions of LV2 plug-ins from the Turtle files of their bundles. Nothing here loads a plug-in.

`describe(bundle, uri)` reads `manifest.ttl` and the files that it names with `rdfs:seeAlso`, as every LV2 host does.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from blackbox_grad_backends.native.lv2_description import PluginDescription, Port, PortGroup, PortKind
from blackbox_grad_backends.native.turtle import Graph, Node, local_name, read

LV2 = "http://lv2plug.in/ns/lv2core#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
_DOAP = "http://usefulinc.com/ns/doap#"
_PATCH = "http://lv2plug.in/ns/ext/patch#"
_MIDI_EVENT = "http://lv2plug.in/ns/ext/midi#MidiEvent"

_KINDS: dict[str, PortKind] = {"AudioPort": "audio", "ControlPort": "control", "CVPort": "cv", "AtomPort": "atom"}

#: Types of the parameters of `patch:writable` that are numbers.
_NUMBERS = {"Int", "Long", "Float", "Double", "Bool"}

#: Units of https://lv2plug.in/ns/extensions/units by name -> the symbol that this package uses.
_UNITS = {
    "bar": "bars", "beat": "beats", "bpm": "BPM", "cent": "ct", "cm": "cm", "coef": "", "db": "dB", "degree": "°",
    "frame": "frames", "hz": "Hz", "inch": "in", "khz": "kHz", "km": "km", "m": "m", "mhz": "MHz", "midiNote": "", "mile": "mi",
    "min": "min", "mm": "mm", "ms": "ms", "oct": "oct", "pc": "%", "s": "s", "semitone12TET": "st",
}  # fmt: skip

#: A symbol that a plug-in writes for itself -> the same.
_SYMBOLS = {"%%": "%", "semi": "st", "semitones": "st", "hz": "Hz", "khz": "kHz", "db": "dB", "deg": "°", "s-1": "Hz"}


def describe_all(bundle: Path) -> list[PluginDescription]:
    """Every plug-in of a bundle; empty for a folder without a readable `manifest.ttl`."""
    manifest = read([bundle / "manifest.ttl"])
    shared: dict[tuple[Path, ...], Graph] = {}  # bundles may describe all their plug-ins in one file
    found = []
    for uri in manifest.subjects(f"{RDF}type", f"{LV2}Plugin"):
        files = tuple(_see_also(manifest, uri))
        if files not in shared:
            shared[files] = read(files)
        found.append(_description(manifest, shared[files], bundle, files, uri))
    return found


def describe(bundle: Path, uri: str) -> PluginDescription | None:
    """One plug-in of a bundle; None if the bundle has none of this URI."""
    manifest = read([bundle / "manifest.ttl"])
    if uri not in manifest.subjects(f"{RDF}type", f"{LV2}Plugin"):
        return None
    files = tuple(_see_also(manifest, uri))
    return _description(manifest, read(files), bundle, files, uri)


def _see_also(manifest: Graph, uri: str) -> list[Path]:
    """Files beside the manifest that describe a plug-in."""
    return [path for node in manifest.objects(uri, f"{RDFS}seeAlso") if (path := local_file(node)) is not None]


def local_file(node: Node) -> Path | None:
    """The path of an IRI `file:///…`; None for others."""
    parts = urlsplit(node)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _description(manifest: Graph, graph: Graph, bundle: Path, files: tuple[Path, ...], uri: str) -> PluginDescription:
    def names(predicate: str) -> tuple[str, ...]:
        found = (*manifest.objects(uri, predicate), *graph.objects(uri, predicate))
        return tuple(dict.fromkeys(map(str, found)))

    def first(predicate: str) -> str:
        return next(iter(names(predicate)), "")

    groups_of = "http://lv2plug.in/ns/ext/port-groups#"
    ports = sorted((_port(graph, node) for node in graph.objects(uri, f"{LV2}port")), key=lambda port: port.index)
    types = {n: set(map(local_name, graph.objects(n, f"{RDFS}range"))) for n in graph.objects(uri, f"{_PATCH}writable")}
    writable = [_port(graph, node) for node in sorted(n for n, found in types.items() if _NUMBERS & found)]
    binary = first(f"{LV2}binary")
    return PluginDescription(
        uri=uri,
        bundle=bundle,
        binary=local_file(Node(binary)) if binary else None,
        files=files,
        name=graph.text(uri, f"{_DOAP}name") or manifest.text(uri, f"{_DOAP}name") or re.split(r"[/:#]", uri)[-1],
        classes=frozenset(local_name(c) for c in names(f"{RDF}type") if c.startswith(LV2)) - {"Plugin"},
        maker=_maker(graph, uri),
        ports=tuple(ports),
        writable=tuple(writable),
        takes_files=any("Path" in found for found in types.values()),
        required=names(f"{LV2}requiredFeature"),
        optional=names(f"{LV2}optionalFeature"),
        extension_data=names(f"{LV2}extensionData"),
        groups={iri: _group(graph, iri) for port in ports if (iri := port.group)},
        main_input=first(f"{groups_of}mainInput"),
        main_output=first(f"{groups_of}mainOutput"),
    )


def _maker(graph: Graph, uri: str) -> str:
    """The name of a maintainer or developer of the plug-in, or of the project that it belongs to."""
    for subject in (uri, *graph.objects(uri, f"{LV2}project")):
        for role in ("maintainer", "developer"):
            for person in graph.objects(subject, f"{_DOAP}{role}"):
                if name := graph.text(person, "http://xmlns.com/foaf/0.1/name"):
                    return name
    return ""


def _group(graph: Graph, iri: str) -> PortGroup:
    of = [*graph.named(iri, "sideChainOf")]
    return PortGroup(
        graph.text(iri, f"{LV2}name"), frozenset(map(local_name, graph.objects(iri, f"{RDF}type"))), next(iter(of), "")
    )


def _port(graph: Graph, node: Node) -> Port:
    classes = {local_name(c) for c in graph.objects(node, f"{RDF}type")}
    properties = frozenset(map(local_name, graph.objects(node, f"{LV2}portProperty")))
    kind: PortKind = next((kind for name, kind in _KINDS.items() if name in classes), "other")
    written = graph.text(node, f"{LV2}index")
    points = [
        (_number(graph, p, f"{RDF}value"), graph.text(p, f"{RDFS}label")) for p in graph.objects(node, f"{LV2}scalePoint")
    ]
    steps = next((s for n in graph.named(node, "rangeSteps") if math.isfinite(s := _float(n))), 0.0)
    return Port(
        symbol=graph.text(node, f"{LV2}symbol") or ("" if node.startswith("_:") else str(node)),
        name=graph.text(node, f"{LV2}name") or graph.text(node, f"{RDFS}label"),
        index=int(written) if written.isdecimal() else -1,
        kind=kind,
        is_input="InputPort" in classes,
        properties=properties,
        designation=local_name(next(iter(graph.objects(node, f"{LV2}designation")), "")),
        # older files say inGroup, of the extension's name before it was final
        group=next((str(g) for name in ("group", "inGroup") for g in graph.named(node, name)), ""),
        minimum=_number(graph, node, f"{LV2}minimum"),
        maximum=_number(graph, node, f"{LV2}maximum"),
        default=_number(graph, node, f"{LV2}default"),
        unit=_unit(graph, node),
        points=tuple(sorted((value, label) for value, label in points if value is not None)),
        steps=int(steps),
        takes_midi="MidiPort" in classes or any(_MIDI_EVENT in graph.named(node, n) for n in ("supports", "supportsEvent")),
    )


def _unit(graph: Graph, node: Node) -> str:
    for unit in graph.named(node, "unit"):
        name = local_name(unit)
        if unit.startswith("http://lv2plug.in/ns/extension") and name in _UNITS:
            return _UNITS[name]
        symbol = next(iter(graph.named(unit, "symbol")), "")
        if not symbol:  # "%f dB" is how to print a value
            symbol = re.sub(r"%[-+ #0-9.]*[a-z]", "", next(iter(graph.named(unit, "render")), ""), count=1)
        symbol = symbol.strip()
        return _SYMBOLS.get(symbol.lower(), symbol)
    return ""


def _number(graph: Graph, node: Node, predicate: str) -> float | None:
    for value in graph.objects(node, predicate):
        if math.isfinite(number := _float(value)):
            return number
    return None


def _float(text: Any) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
