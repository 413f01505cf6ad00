"""The presets of a plug-in in DawDreamer: LV2 presets, programs of VST2 and VST3 plug-ins, and folders of files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from blackbox_grad.effects import StoredPreset
from blackbox_grad.errors import EffectLoadError
from blackbox_grad.parameters import Parameter
from blackbox_grad_backends.native import lv2_presets, plugin_folders
from blackbox_grad_backends.native.lv2_description import PluginDescription, Port
from blackbox_grad_backends.native.lv2_parameters import HostRange
from blackbox_grad_backends.native.output import quiet
from blackbox_grad_backends.native.preset_folders import read_all
from blackbox_grad_backends.native.stepped_programs import chooses_programs, preset_from
from blackbox_grad_backends.native.vst2_programs import programs


class Opened(Protocol):
    """What is needed of a `DawDreamerPluginEffect`."""

    source: str
    lv2: PluginDescription | None
    indices: list[int]

    @property
    def processor(self) -> Any:
        """DawDreamer's object."""

    def ports(self) -> Iterator[tuple[Port | None, Parameter, HostRange | None, float]]:
        """Of each parameter."""

    def inside(self, position: int, value: float) -> tuple[float, str]:
        """A value within the reach of a parameter, and what became of it."""

    def settle(self, settings: Sequence[tuple[int, float]]) -> None:
        """Render silence with these values of the host's parameters, the others as they are."""

    def renew(self) -> None:
        """Replace the plug-in by a new one."""


def stored_presets(effect: Opened, folder: str | None) -> Iterator[StoredPreset]:
    """The plug-in's own presets, or those of a folder. Afterwards the plug-in is as before."""
    if effect.lv2 is not None:
        yield from _of_lv2(effect, effect.lv2, folder)
    elif folder is None and effect.source.endswith(".vst3"):
        yield from _chosen(effect)
    elif folder is None:
        own = state_of(effect.processor)
        found = list(programs(own))
        if len(found) > 1:  # one alone is the plug-in as it starts
            yield from (_program(effect, p.name or f"Program {i + 1}", p.values) for i, p in enumerate(found))
    else:
        suffixes = (".vstpreset",) if effect.source.endswith(".vst3") else (".fxp", ".fxb")
        try:
            yield from read_all(folder, suffixes, state_of(effect.processor), lambda *file: _of_file(effect, *file))
        finally:
            effect.renew()


def _of_lv2(effect: Opened, lv2: PluginDescription, folder: str | None) -> Iterator[StoredPreset]:
    ports = {
        port.symbol: lv2_presets.PresetPort(i, port, whole, reach, factor)
        for i, (port, whole, reach, factor) in enumerate(effect.ports())
        if port is not None and reach is not None
    }
    told = {port.symbol for port in lv2.ports if not port.is_input or port.designation in ("latency", "freeWheeling")}
    others = {port.symbol for port in (*lv2.controls, *lv2.writable)} - set(ports)
    if folder is None:
        found = lv2_presets.installed(lv2.uri)
    else:
        found = (p for bundle in plugin_folders.bundles_in(Path(folder)) for p in lv2_presets.in_bundle(bundle))
    for preset in lv2_presets.stored(found, lv2.uri, ports, others, told):
        inside = [(i, *effect.inside(i, value)) for i, value in preset.values.items()]
        notes = (*preset.notes, *(note for _, _, note in inside if note))
        yield StoredPreset(preset.name, {i: value for i, value, _ in inside}, notes)


def _chosen(effect: Opened) -> Iterator[StoredPreset]:
    """Why the programs of a VST3 are left out: DawDreamer chooses one, and its parameters stay as they were."""
    for described in effect.processor.get_parameters_description():
        if chooses_programs(described["name"], steps := described["numSteps"]):
            way = f"Pedalboard does: open it as pedalboard:{effect.source}"
            yield StoredPreset("", {}, (f"DawDreamer does not tell what the {steps} programs of a VST3 set; {way}",))


def _read(effect: Opened) -> list[float]:
    return [float(effect.processor.get_parameter(index)) for index in effect.indices]


def _program(effect: Opened, name: str, values: tuple[float, ...]) -> StoredPreset:
    indices = effect.indices
    if max(indices, default=-1) >= len(values):
        return StoredPreset("", {}, (f"program {name!r} has {len(values)} values, and the plug-in more parameters",))
    return preset_from(name, [values[index] for index in indices], effect.inside)


def _of_file(effect: Opened, path: Path, content: bytes) -> Iterator[StoredPreset]:
    found = list(programs(content))
    if found:
        several = len(found) > 1
        for i, program in enumerate(found):
            name = f"{path.stem}: {program.name or i + 1}" if several else program.name or path.stem
            yield _program(effect, name, program.values)
        return
    if path.suffix.lower() == ".fxb":
        raise EffectLoadError(f"{path} is a bank that only the plug-in reads; save its programs as .fxp")
    with quiet():
        effect.renew()
        load = effect.processor.load_vst3_preset if path.suffix.lower() == ".vstpreset" else effect.processor.load_preset
        try:
            done = load(str(path))
        except RuntimeError as error:
            raise EffectLoadError(f"{path} could not be loaded: {error}") from error
        if done is False:
            raise EffectLoadError(f"{path}: the plug-in refused it; it may be of another plug-in")
        effect.settle([])
        yield preset_from(path.stem, _read(effect), effect.inside)


def state_of(processor: Any) -> bytes:
    """What a plug-in saves; empty if it saves nothing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state"
        processor.save_state(str(file))
        return file.read_bytes() if file.exists() else b""
