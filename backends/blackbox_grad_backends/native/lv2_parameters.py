"""From an LV2 plug-in's description to parameters with true ranges, scales, units and names, and to the values that the host takes.

DawDreamer's host, JUCE, maps [0, 1] to a port's range by a straight line, whatever the port's scale: half of 20 to 20 000 Hz is
10 010 Hz. So a parameter moves on the scale that the plug-in asks for, and `HostRange` turns its value into JUCE's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from blackbox_grad.parameters import FloatArray, Kind, Parameter, ParameterSpace
from blackbox_grad_backends.native.lv2_description import PluginDescription, Port
from blackbox_grad_backends.native.plugin_parameters import MOST_LEVELS, is_named_for_the_host, on_grid, rounded

#: A logarithmic range from 0 begins this far below its reference, 80 dB; its lowest point is 0 itself.
_FLOOR = 1e-4

#: From this ratio of its ends on, a positive range counts as logarithmic; and from this one on, if its ends are reciprocal.
_DECADES, _RECIPROCAL = 1000.0 * (1.0 - 1e-6), 16.0

#: Points of the table of such a range.
_TABLE_POINTS = 65

#: Units of amplification: there 1 is the reference of a range from 0, elsewhere its maximum.
_OF_GAIN = ("", "G", "x", "X")

#: Ports that the host sets.
_DESIGNATED = {"enabled", "freeWheeling", "latency"}

#: Designations of the vocabulary of time, such as the tempo: the host's, if it has a transport.
_OF_TIME = {
    "bar",
    "barBeat",
    "beat",
    "beatUnit",
    "beatsPerBar",
    "beatsPerMinute",
    "frame",
    "framesPerSecond",
    "position",
    "speed",
}

#: The tempo of the host, and the slowest there is: below it, the echoes of calf's ReverseDelay leave its memory, and it crashes.
_TEMPO, _SLOWEST = "beatsPerMinute", 20.0


@dataclass(frozen=True)
class HostRange:
    """How JUCE's value in [0, 1] follows a native one: `low + (high - low) · value`, in 32-bit floats.

    Attributes:
        low, high: ends of the port's range.
        default: JUCE's value of the default, exactly as it gave it.
        whole: whether the port takes whole numbers.
        levels: native value of each level; empty if they are equally spaced, or there are none.
    """

    low: float
    high: float
    default: float
    whole: bool = False
    levels: tuple[float, ...] = ()

    def host_value(self, parameter: Parameter, value: float) -> float:
        """JUCE's value for `value`, in [0, 1], of the parameter."""
        if value == parameter.default:
            return self.default
        if self.levels:
            return self.at(self.levels[round(value * (len(self.levels) - 1))])
        if parameter.levels is not None:
            return self.at(self.low + round(value * (parameter.levels - 1)) * (self.high - self.low) / (parameter.levels - 1))
        if self.is_straight(parameter):
            return value
        native = parameter.to_native(value)
        return self.at(round(native)) if self.whole else (native - self.low) / (self.high - self.low)

    def is_straight(self, parameter: Parameter) -> bool:
        """Whether JUCE's value is the parameter's own, but for the default."""
        free = parameter.scale == "linear" and parameter.levels is None and not (self.whole or self.levels)
        return free and (parameter.minimum, parameter.maximum) == (self.low, self.high)

    def at(self, native: float) -> float:
        """JUCE's value whose result is not below `native`, a level or a whole number: plug-ins cut 6.9999995 to 6."""
        value = self._found.get(native)
        if value is None:
            low, span = np.float32(self.low), np.float32(self.high) - np.float32(self.low)
            nearest = np.float32((native - self.low) / (self.high - self.low))
            while low + span * nearest < np.float32(native) and nearest < 1.0:
                nearest = np.nextafter(nearest, np.float32(1.0))
            value = self._found[native] = float(nearest)
        return value

    @cached_property
    def _found(self) -> dict[float, float]:
        """What `at` has found so far: a range has few levels, and a render asks for hundreds of them."""
        return {}

    def native(self, value: float) -> float:
        """The native value of JUCE's `value`."""
        return self.low + (self.high - self.low) * value


def host_values(values: FloatArray, parameters: ParameterSpace, ranges: Sequence[HostRange | None]) -> list[float]:
    """`[F] in [0, 1]` -> the host's `F` values. A control without a range takes the value itself."""
    rounded = on_grid(values, parameters)
    if not any(ranges):
        return rounded
    found = []
    for own, even, parameter, reach in zip(values.tolist(), rounded, parameters.everything, ranges, strict=True):
        # a default is passed on as the host gave it, whatever the grid
        found.append(even if reach is None else reach.host_value(parameter, own if own == parameter.default else even))
    return found


def host_rows(rows: FloatArray, parameters: Sequence[Parameter], ranges: Sequence[HostRange | None]) -> FloatArray:
    """`host_values` for some controls over time: `[A, N] in [0, 1]` -> `[A, N]`."""
    even = rounded(rows, parameters)
    for row, own, parameter, reach in zip(even, rows, parameters, ranges, strict=True):
        if reach is None:
            continue
        if reach.is_straight(parameter):
            row[own == parameter.default] = reach.default
            continue
        values, where = np.unique(own, return_inverse=True)
        on = rounded(values[None], [parameter])[0]
        of_host = [
            reach.host_value(parameter, v if v == parameter.default else e)
            for v, e in zip(values.tolist(), on.tolist(), strict=True)
        ]
        row[:] = np.array(of_host)[where]
    return even


def ports_of_controls(plugin: PluginDescription, names: Sequence[str]) -> list[Port | None]:
    """The port behind each of the host's controls, in its order; None where no port has the control's name.

    JUCE lists the ports outside of groups first, then those of each group, then the parameters that are set by messages. It calls
    the port that is designated `enabled` "Bypass".
    """
    controls = [port for port in plugin.controls if port.designation != "freeWheeling"]
    grouped = {iri for port in controls if (iri := port.group) and plugin.groups[iri].classes & _JUCE_GROUPS}
    ordered = sorted(controls, key=lambda port: (port.group if port.group in grouped else "", port.index))
    expected: list[Port] = [*(p for p in ordered if p.group not in grouped), *plugin.writable]
    expected += [p for p in ordered if p.group in grouped]
    shown = ["Bypass" if port.designation == "enabled" else port.name for port in expected]
    if shown == list(names):
        return list(expected)
    left = list(zip(shown, expected, strict=True))
    found: list[Port | None] = []
    for name in names:
        at = next((i for i, (candidate, _) in enumerate(left) if candidate == name), None)
        found.append(None if at is None else left.pop(at)[1])
    return found


_JUCE_GROUPS = {"Group", "InputGroup", "OutputGroup"}


def is_for_the_host(port: Port) -> bool:
    """Whether the host sets this port (it enables the plug-in, or is pressed like a button), or it has a single value."""
    low, high = port_range(port)
    alone = not low < high or len(_levels(port)) == 1
    return alone or port.designation in _DESIGNATED or "trigger" in port.properties or is_named_for_the_host(port.name)


def port_range(port: Port) -> tuple[float, float]:
    """Ends of a port's range, as JUCE takes them: 0 and 1 where the file is silent."""
    return 0.0 if port.minimum is None else port.minimum, 1.0 if port.maximum is None else port.maximum


def describe_port(port: Port, host_default: float) -> tuple[Parameter, HostRange]:
    """The parameter of a port, and its range in the host.

    Args:
        port: a control input with more than one value.
        host_default: JUCE's value of the default, in [0, 1].
    """
    low, high = port_range(port)
    levels = _levels(port)
    whole = "integer" in port.properties
    reach = HostRange(low, high, host_default, whole, tuple(value for value, _ in levels))
    native = min(max(reach.native(host_default), low), high)
    trainable = "notOnGUI" not in port.properties and port.designation not in _OF_TIME
    name = port.name.strip() or port.symbol
    if "toggled" in port.properties:
        reach = HostRange(low, high, host_default)
        return Parameter(name, "toggle", float(host_default > 0.0), trainable=trainable), reach
    if levels:
        return _named(name, levels, native, port.unit, trainable), reach
    if whole and high - low + 1 <= MOST_LEVELS:
        count = int(high - low) + 1
        default = round(native - low) / (count - 1)
        kind: Kind = "toggle" if count == 2 and (low, high) == (0.0, 1.0) else "stepped"
        return Parameter(name, kind, default, count, low, high, port.unit, trainable=trainable), reach
    if port.designation == _TEMPO and low < _SLOWEST < native:
        low = _SLOWEST
    free = Parameter(name, minimum=low, maximum=high, unit=port.unit, trainable=trainable)
    if low >= 0.0 and ("logarithmic" in port.properties or _covers_decades(low, high)):
        free = _logarithmic(free)
    elif low == 0.0 and high == 1.0 and not port.unit:
        return Parameter(name, default=host_default, trainable=trainable), reach
    return _with_default(free, native), reach


def _levels(port: Port) -> tuple[tuple[float, str], ...]:
    """The values of an enumeration that lie in the port's range, and their names; empty for other ports.

    A port of whole numbers that names each of them is one too.
    """
    low, high = port_range(port)
    points = tuple(point for point in port.points if low <= point[0] <= high)
    if "enumeration" in port.properties or ("integer" in port.properties and len(points) == high - low + 1):
        return points
    return ()


def _named(name: str, levels: tuple[tuple[float, str], ...], native: float, unit: str, trainable: bool) -> Parameter:
    values, labels = [value for value, _ in levels], [label.strip() for _, label in levels]
    nearest = min(range(len(values)), key=lambda i: abs(values[i] - native))
    # names that are missing, or that two levels share, get the value
    labels = [t if t and labels.count(t) == 1 else f"{t} {value:g}".strip() for value, t in zip(values, labels, strict=True)]
    kind: Kind = "toggle" if len(levels) == 2 and [label.lower() for label in labels] == ["off", "on"] else "stepped"
    default = nearest / (len(levels) - 1)
    evenly = np.allclose(np.diff(values, 2), 0.0, atol=1e-6 * (values[-1] - values[0]))
    ends = (values[0], values[-1]) if evenly else (0.0, len(levels) - 1.0)
    return Parameter(name, kind, default, len(levels), *ends, unit, choices=tuple(labels), trainable=trainable)


def _covers_decades(low: float, high: float) -> bool:
    """Whether a range is meant logarithmically, though its file does not say so.

    No knob covers 20 to 20 000 in equal steps. The gains of calf's equalisers, 1/64 to 64, have no scale in their files either:
    in equal steps, half of them lies above 30 dB.
    """
    return low > 0.0 and (high / low >= _DECADES or (high / low >= _RECIPROCAL and abs(low * high - 1.0) < 1e-3))


def _logarithmic(parameter: Parameter) -> Parameter:
    low, high = parameter.minimum, parameter.maximum
    if low > 0.0:
        return replace(parameter, scale="log")
    floor = _FLOOR * (min(1.0, high) if parameter.unit in _OF_GAIN else high)
    table = (0.0, *np.geomspace(floor, high, _TABLE_POINTS - 1).tolist())
    return replace(parameter, scale="table", table=(*table[:-1], high))


def _with_default(parameter: Parameter, native: float) -> Parameter:
    return replace(parameter, default=min(1.0, max(0.0, parameter.to_normalised(native))))
