"""How sure a match is of its settings, in words: the same on the terminal, in JSON, in the report and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox_grad.matching.sureness import JUST_HEARD, Range
from blackbox_grad.parameters.parameter import Parameter
from blackbox_grad.parameters.units import digits

if TYPE_CHECKING:
    from blackbox_grad.matching.result import Match

#: Of two offsets, one up to this many times the other is written as the same.
_ALIKE = 1.3

#: Parts of the range below this are a rounding.
_NOTHING = 1e-6


def could_be(found: Match) -> dict[str, str]:
    """Name of each free parameter -> "± 0.4 dB", "-64 to -28 dB, trades with Makeup", "not audible here"; empty if not measured."""
    if found.sureness is None:
        return {}
    space = found.info.parameters
    point = space.snap(found.point).tolist()
    ranges = {r.name: r for r in found.sureness.ranges}
    return {p.name: _of(ranges[p.name], p, value) for p, value in zip(space, point, strict=True) if p.name in ranges}


def sentence(found: Match) -> str:
    """What "could be" means, and whether the settings behind the target may lie outside; empty if it was not measured."""
    sure = found.sureness
    if sure is None:
        return ""
    text = (
        "could be: not told apart from what was found, as the sound changes by less than with an octave of it "
        f"{JUST_HEARD:g} dB louder; {sure.renders} renders"
    )
    if sure.residual > 1.0:
        far = f"{sure.residual:.3g} times as far"
        text += f". The match itself is told from the target ({far}), so the hidden settings may lie outside"
    if sure.trades:
        groups = dict.fromkeys(tuple(name for name in found.info.parameters.names if name in t.names) for t in sure.trades)
        named = "; ".join(f"{', '.join(names[:-1])} and {names[-1]}" for names in groups)
        text += f". Settings that make up for each other: {named}. What was found is one of many"
    return text


def _of(found: Range, parameter: Parameter, value: float) -> str:
    if not found.audible:
        return "not audible here"
    if found.trades:
        low, high = found.low_traded, found.high_traded
        assert low is not None
        assert high is not None
        return f"{_span(parameter, low, high)}, trades with {', '.join(found.trades)}"
    if found.levels:
        return "or " + ", ".join(parameter.text(level) for level in found.levels)
    if found.high - found.low < _NOTHING:
        return "only this" if parameter.levels else _nearer(found, parameter, value)
    return _plus_minus(found, parameter, value) or _span(parameter, found.low, found.high)


def _span(parameter: Parameter, low: float, high: float) -> str:
    ends = parameter.text(low), parameter.text(high)
    if parameter.unit and all(end.endswith(f" {parameter.unit}") for end in ends):
        ends = ends[0].removesuffix(f" {parameter.unit}"), ends[1]
    return f"{ends[0]} to {ends[1]}"


def _plus_minus(found: Range, parameter: Parameter, value: float) -> str:
    """ "± 0.4 dB" if it could be off as far both ways; empty otherwise."""
    if parameter.choices or parameter.kind == "toggle":
        return ""
    below, above = (abs(parameter.to_native(end) - parameter.to_native(value)) for end in (found.low, found.high))
    if min(below, above) <= 0.0 or max(below, above) > _ALIKE * min(below, above):
        return ""
    return f"± {digits(float(f'{max(below, above):.2g}'))}{' ' + parameter.unit if parameter.unit else ''}"


def _nearer(found: Range, parameter: Parameter, value: float) -> str:
    """Where the nearest values that were rendered are heard."""
    nearest = [end for end in (found.low_heard, found.high_heard) if end is not None]
    off = min(abs(parameter.to_native(end) - parameter.to_native(value)) for end in nearest)
    return f"less than ± {digits(float(f'{off:.2g}'))}{' ' + parameter.unit if parameter.unit else ''}"
