"""Presets of a plug-in in DawDreamer, as the content of files: `.vstpreset`, `.fxp` and `.fxb`, or the bundle of an LV2."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from blackbox_grad.effects import Audio
from blackbox_grad.errors import EffectLoadError
from blackbox_grad.parameters import FloatArray, Parameter
from blackbox_grad_backends.dawdreamer_presets import state_of
from blackbox_grad_backends.native.lv2_description import PluginDescription, Port
from blackbox_grad_backends.native.lv2_parameters import HostRange
from blackbox_grad_backends.native.lv2_preset_files import bundle_files
from blackbox_grad_backends.native.output import quiet
from blackbox_grad_backends.native.vst2_programs import program_file, programs
from blackbox_grad_backends.native.vst3_presets import class_of, preset_of_state

#: Values of a plug-in that differ by this much or less are equal: it stores them as text, or in 32 bits.
_EQUAL = 1e-4


class Saving(Protocol):
    """What is needed of a `DawDreamerPluginEffect`."""

    source: str
    lv2: PluginDescription | None
    indices: list[int]
    repeatability: float

    @property
    def processor(self) -> Any:
        """DawDreamer's object."""

    def ports(self) -> Iterator[tuple[Port | None, Parameter, HostRange | None, float]]:
        """Of each parameter."""

    def numbers(self, values: FloatArray) -> list[float]:
        """The host's values of the parameters."""

    def inside(self, position: int, value: float) -> tuple[float, str]:
        """A value within the reach of a parameter, and what became of it."""

    def sound(self, values: FloatArray) -> Audio:
        """What it does to noise, or plays, at `values: [F]`."""

    def settle(self, settings: Sequence[tuple[int, float]]) -> None:
        """Render silence with these values of the host's parameters, the others as they are."""

    def renew(self) -> None:
        """Replace the plug-in by a new one."""


def preset_files(effect: Saving, suffix: str, name: str, values: FloatArray) -> dict[str, bytes]:
    """Name of a file -> its content; "" is the preset that is one file. Afterwards the plug-in is as before.

    Args:
        suffix: of the preset.
        name: for people.
        values: `[F] in [0, 1]`.
    """
    numbers = effect.numbers(values)
    if effect.lv2 is not None:
        return _bundle(effect, effect.lv2, name, numbers)
    try:
        with quiet():
            effect.renew()
            effect.settle(list(zip(effect.indices, numbers, strict=True)))
            state = state_of(effect.processor)
            if effect.source.endswith(".vst3"):
                content = preset_of_state(state, class_of(Path(effect.source)))
            elif state[:4] != b"CcnK":
                raise EffectLoadError(
                    f"{effect.source}: the plug-in saves no program; keep its settings in a file of parameters"
                )
            else:
                content = state if suffix == ".fxb" else program_file(state, name)
            _check(effect, suffix, content, state, numbers)
    finally:
        effect.renew()
    if state[:4] == b"CcnK":
        refuse_other_sound(effect, state, numbers, values)
    return {"": content}


def _check(effect: Saving, suffix: str, content: bytes, state: bytes, numbers: Sequence[float]) -> None:
    """Raise unless a new plug-in that loads the preset is in the same state, or has the same values.

    A bank is the plug-in's state itself. DawDreamer loads one through the plug-in's window, which some fail to open.
    """
    if suffix == ".fxb":
        return
    effect.renew()
    processor = effect.processor
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"preset{suffix}")
        file.write_bytes(content)
        try:
            done = (processor.load_vst3_preset if suffix == ".vstpreset" else processor.load_preset)(str(file))
        except RuntimeError as error:
            raise EffectLoadError(f"{effect.source}: the plug-in does not load a preset of its own: {error}") from error
    if done is False:
        raise EffectLoadError(f"{effect.source}: the plug-in does not load a preset of its own; keep its settings in a file")
    effect.settle([])
    if state_of(processor) == state:
        return
    own = next(programs(content), None) if suffix == ".fxp" else None
    held = np.asarray(numbers if own is None else [own.values[index] for index in effect.indices])
    found = np.array([processor.get_parameter(index) for index in effect.indices])
    wrong = np.flatnonzero(np.abs(found - held) > _EQUAL)
    if wrong.size:
        names = [parameter.name for _, parameter, _, _ in effect.ports()]
        way = "save an .fxb, or keep the settings" if suffix == ".fxp" else "keep the settings"
        raise EffectLoadError(
            f"{effect.source}: a preset of it does not hold {', '.join(names[i] for i in wrong[:4])}: the plug-in loads it with "
            f"another value; {way} in a file of parameters"
        )


def refuse_other_sound(effect: Saving, bank: bytes, numbers: Sequence[float], values: FloatArray) -> None:
    """Raise if a VST2 stores other values than it was given (0.76 of a switch as 1), and they sound different."""
    stored = next(programs(bank), None)
    if stored is None:
        return
    own = np.array([stored.values[index] for index in effect.indices])
    moved = np.flatnonzero(np.abs(own - np.asarray(numbers)) > _EQUAL)
    if not moved.size:
        return
    other = values.copy()
    other[moved] = [effect.inside(int(i), float(own[i]))[0] for i in moved]
    one, two = effect.sound(values), effect.sound(other)
    if np.abs(one - two).max() > max(_EQUAL, 2.0 * effect.repeatability) * np.abs(one).max():
        parameters = [parameter for _, parameter, _, _ in effect.ports()]
        shown = ", ".join(f"{parameters[i].name} {numbers[i]:.3g} as {own[i]:.3g}" for i in moved[:4])
        raise EffectLoadError(
            f"{effect.source}: its presets store {shown} (normalised), which sounds different; choose the values that it stores"
        )


def _bundle(effect: Saving, lv2: PluginDescription, name: str, numbers: Sequence[float]) -> dict[str, bytes]:
    ports = {
        port.symbol: port.default for port in lv2.controls if port.default is not None and port.designation != "freeWheeling"
    }
    messages: dict[str, float] = {}
    writable = {port.symbol for port in lv2.writable}
    for (port, _, reach, factor), number in zip(effect.ports(), numbers, strict=True):
        if port is None or reach is None:
            continue
        low, high = np.float32(reach.low), np.float32(reach.high)  # as JUCE computes it
        native = float(low + (high - low) * np.float32(number)) / factor
        (messages if port.symbol in writable else ports)[port.symbol] = native
    return bundle_files(lv2.uri, name, ports, messages)
