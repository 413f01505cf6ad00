"""Presets of LV2 plug-ins: which there are, and what each sets. They are text, and nothing here loads a plug-in.

A bundle's `manifest.ttl` names them (https://lv2plug.in/ns/ext/presets): in the bundle of their plug-in, or in one of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from blackbox_grad.cache import JsonCache
from blackbox_grad.effects import StoredPreset
from blackbox_grad.parameters import Parameter
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.lv2_bundles import stamp_of
from blackbox_grad_backends.native.lv2_description import Port
from blackbox_grad_backends.native.lv2_parameters import HostRange
from blackbox_grad_backends.native.lv2_reading import LV2, RDF, RDFS, local_file
from blackbox_grad_backends.native.plugin_parameters import HALF_STEP
from blackbox_grad_backends.native.turtle import Graph, Node, read

PRESETS = "http://lv2plug.in/ns/ext/presets#"
_STATE = "http://lv2plug.in/ns/ext/state#state"


@dataclass(frozen=True)
class Lv2Preset:
    """One preset.

    Attributes:
        name: its label, or the end of its IRI.
        bundle: where it is.
        plugin: URI of the plug-in that it is for.
        values: symbol of a port -> native value.
        has_state: whether it also holds a state that the plug-in saved, which is beyond its ports.
    """

    name: str
    bundle: Path
    plugin: str
    values: dict[str, float]
    has_state: bool


def installed(uri: str) -> Iterator[Lv2Preset]:
    """The presets of a plug-in, from all bundles in the folders of LV2 plug-ins."""
    cache = JsonCache("lv2-presets")
    for bundle in plugin_folders.installed("lv2"):
        stamp = stamp_of(bundle)
        owners = cache.get(str(bundle), stamp)
        if owners is None:
            owners = sorted({plugin for plugin, _ in _listed(read([bundle / "manifest.ttl"]))})
            cache.put(str(bundle), stamp, owners)
        if uri in owners:
            yield from in_bundle(bundle, uri)


def in_bundle(bundle: Path, uri: str | None = None) -> Iterator[Lv2Preset]:
    """The presets of a bundle, in the order of its manifest; with `uri`, those of one plug-in."""
    manifest = read([bundle / "manifest.ttl"])
    graphs: dict[tuple[Path, ...], Graph] = {}  # one file may hold all
    for plugin, preset in _listed(manifest):
        if uri not in (None, plugin):
            continue
        beside = [local_file(node) for node in manifest.objects(preset, f"{RDFS}seeAlso")]
        files = tuple(file for file in beside if file is not None) or (bundle / "manifest.ttl",)
        if files not in graphs:
            graphs[files] = read(files)
        graph = graphs[files]
        name = graph.text(preset, f"{RDFS}label") or manifest.text(preset, f"{RDFS}label")
        values = dict(_values(graph, preset))
        yield Lv2Preset(name or preset.rpartition("#")[2], bundle, plugin, values, bool(graph.objects(preset, _STATE)))


def _listed(manifest: Graph) -> Iterator[tuple[str, str]]:
    """Plug-in and IRI of each preset."""
    for preset in manifest.subjects(f"{RDF}type", f"{PRESETS}Preset"):
        for plugin in manifest.objects(preset, f"{LV2}appliesTo"):
            yield str(plugin), preset


def _values(graph: Graph, preset: str) -> Iterator[tuple[str, float]]:
    for port in graph.objects(preset, f"{LV2}port"):
        symbol = graph.text(port, f"{LV2}symbol")
        for value in graph.named(port, "value"):
            number = _float(value)
            if symbol and math.isfinite(number):
                yield symbol, number


def _float(text: Node) -> float:
    if text in ("true", "false"):
        return float(text == "true")
    try:
        return float(text)
    except ValueError:
        return math.nan


@dataclass(frozen=True)
class PresetPort:
    """Where a port's value goes.

    Attributes:
        position: of its parameter in the effect's space.
        parameter, range: the parameter with its whole range, and its range in the host.
        factor: of the preset's value: ports in multiples of the sample rate become Hz.
    """

    position: int
    port: Port
    parameter: Parameter
    range: HostRange
    factor: float = 1.0

    def normalised(self, native: float) -> tuple[float, str]:
        """The value in the whole range, and what became of it, if it is not as the preset has it."""
        native *= self.factor
        parameter, reach = self.parameter, self.range
        if "toggled" in self.port.properties:
            return float(native > 0.0), ""
        low, high = min(reach.low, reach.high), max(reach.low, reach.high)
        inside = min(max(native, low), high)
        moved = f"{parameter.name}: {native:.4g} is outside {low:.4g} to {high:.4g}, and was moved there"
        note = "" if abs(inside - native) <= 1e-6 * (high - low) else moved
        if reach.levels:
            nearest = min(range(len(reach.levels)), key=lambda i: abs(reach.levels[i] - native))
            return nearest / (len(reach.levels) - 1), note
        if parameter.levels is not None:
            return parameter.snap((inside - reach.low) / (reach.high - reach.low)), note
        ends = sorted((parameter.to_native(0.0), parameter.to_native(1.0)))
        value = parameter.to_normalised(min(max(inside, ends[0]), ends[1]))
        # a default need not lie on the grid of values, and means exactly the host's own value
        return (parameter.default if abs(value - parameter.default) <= HALF_STEP else value), note


def stored(
    presets: Iterable[Lv2Preset], uri: str, ports: dict[str, PresetPort], others: set[str], told: set[str]
) -> Iterator[StoredPreset]:
    """What presets set of the effect, by the whole ranges of its parameters.

    Args:
        presets: of any plug-in; those of others are left out.
        uri: of the plug-in.
        ports: symbol -> its parameter.
        others: symbols of the plug-in's other control inputs.
        told: symbols of what the plug-in tells or the host does: some presets hold them, and nobody misses them.
    """
    for preset in presets:
        where = f"preset {preset.name!r} of {preset.bundle.name}"
        if preset.plugin != uri:
            yield StoredPreset("", {}, (f"{where} is for another plug-in, {preset.plugin}",))
            continue
        known = {symbol: value for symbol, value in preset.values.items() if symbol in ports}
        if not known:
            what = "holds a state of its own, and no values of ports" if preset.has_state else "sets no parameter"
            yield StoredPreset("", {}, (f"{where} {what}",))
            continue
        found = {ports[symbol].position: ports[symbol].normalised(value) for symbol, value in known.items()}
        notes = [note for _, note in found.values() if note]
        unknown = [symbol for symbol in preset.values if symbol not in ports and symbol not in told]
        for symbols, what in (
            ([s for s in unknown if s in others], "which is no parameter here"),
            ([s for s in unknown if s not in others], "which the plug-in does not have"),
        ):
            notes += [f"it also sets {', '.join(symbols)}, {what}"] * bool(symbols)
        notes += ["it also holds a state of its own, beyond its ports"] * preset.has_state
        yield StoredPreset(preset.name, {position: value for position, (value, _) in found.items()}, tuple(notes))
