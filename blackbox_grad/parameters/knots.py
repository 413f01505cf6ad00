"""Knots: the parameters that one moving control becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

#: How a setting goes from one knot to the next: in a straight line, or not before the next one.
Shape: TypeAlias = Literal["linear", "held"]


@dataclass(frozen=True)
class Knot:
    """The place of a parameter on a curve.

    Attributes:
        parameter: name of the control that moves.
        seconds: from the start of the audio.
        shape: of the curve.
    """

    parameter: str
    seconds: float
    shape: Shape = "linear"
