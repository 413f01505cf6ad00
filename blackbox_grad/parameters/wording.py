"""Parameters in words, the same on the terminal and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox_grad.markup import table
from blackbox_grad.parameters.parameter import Parameter

if TYPE_CHECKING:
    from blackbox_grad.parameters.space import ParameterSpace


def kind(parameter: Parameter) -> str:
    """ "continuous", "stepped, 4" or "toggle"."""
    return f"stepped, {parameter.levels}" if parameter.kind == "stepped" else parameter.kind


def range_(parameter: Parameter) -> str:
    """From where to where, or its choices."""
    if parameter.choices:
        return ", ".join(parameter.choices)
    low, high = parameter.text(0.0), parameter.text(1.0)
    scale = f" ({parameter.scale})" if parameter.scale == "log" else ""
    return f"{low} to {high}{scale}"


def html(space: ParameterSpace) -> str:
    """A row for each control, the free ones first."""
    free = set(space.free)
    order = sorted(range(len(space.everything)), key=lambda i: i not in free)
    rows = [
        [p.name, kind(p), range_(p), p.text(value), f"{value:.4f}", "free" if i in free else "held"]
        for i in order
        for p, value in [(space.everything[i], space.held[i])]
    ]
    return table(["parameter", "kind", "range", "value", "normalised", ""], rows)
