"""Which parameters of a point belong together: the knots of one curve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from blackbox_grad.parameters.knots import Shape
from blackbox_grad.parameters.parameter import Parameter


@dataclass(frozen=True)
class Row:
    """The parameters of a space that are one control of the effect: the knots of its curve, or a constant setting.

    Attributes:
        name: of the control.
        start: position of the first of them in a point.
        seconds: of each knot; empty for a constant setting.
        shape: of the curve.
    """

    name: str
    start: int
    seconds: tuple[float, ...] = ()
    shape: Shape = "linear"

    @property
    def moves(self) -> bool:
        return bool(self.seconds)

    @property
    def places(self) -> slice:
        """In a point."""
        return slice(self.start, self.start + max(1, len(self.seconds)))


def rows(parameters: Iterable[Parameter]) -> list[Row]:
    """The controls behind the parameters of a point, in their order."""
    found: list[Row] = []
    for position, parameter in enumerate(parameters):
        knot = parameter.knot
        if knot is None:
            found.append(Row(parameter.name, position))
            continue
        last = found[-1] if found else None
        if last is not None and last.name == knot.parameter and last.moves and knot.seconds > last.seconds[-1]:
            found[-1] = Row(last.name, last.start, (*last.seconds, knot.seconds), knot.shape)
        else:
            found.append(Row(knot.parameter, position, (knot.seconds,), knot.shape))
    return found
