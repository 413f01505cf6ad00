"""The controls of an effect, and the box `[0, 1]^P` in which estimators work. Needs numpy only."""

from __future__ import annotations

from blackbox_grad.parameters.amount import blend
from blackbox_grad.parameters.knots import Knot, Shape
from blackbox_grad.parameters.names import plain_name
from blackbox_grad.parameters.parameter import TOLERANCE, FloatArray, Kind, Parameter, Scale
from blackbox_grad.parameters.rows import Row, rows
from blackbox_grad.parameters.space import SELECTIONS, ParameterSpace, Selection
from blackbox_grad.parameters.travel import carried, differing, setting
from blackbox_grad.parameters.units import digits

__all__ = [
    "SELECTIONS",
    "TOLERANCE",
    "FloatArray",
    "Kind",
    "Knot",
    "Parameter",
    "ParameterSpace",
    "Row",
    "Scale",
    "Selection",
    "Shape",
    "blend",
    "carried",
    "differing",
    "digits",
    "plain_name",
    "rows",
    "setting",
]
