"""Settings that travel to another sample rate, or to another version of an effect, keep their native values.

A normalised value means nothing without its range: half of a cutoff's range is 563 Hz in an effect at 16 kHz, and 1000 Hz in the
same effect at 44.1 kHz. So a setting is kept with its native value, its unit and its range, and is put back by them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.errors import ParameterError
from blackbox_grad.parameters.parameter import FloatArray, Parameter
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.parameters.units import digits

#: Two native values are equal if they differ by this part of the range.
_EQUAL = 1e-6


def setting(parameter: Parameter, value: float) -> dict[str, Any]:
    """A setting as JSON, so that it can be put back elsewhere.

    Its keys: name, kind, normalised, native (text), value (the native number; null where the levels have names), unit, range
    (native, at normalised 0 and 1), scale, default (native text).
    """
    named = bool(parameter.choices) or parameter.kind == "toggle"
    return {
        "name": parameter.name,
        "kind": parameter.kind,
        "normalised": float(value),
        "native": parameter.text(value),
        "value": None if named else parameter.to_native(parameter.snap(value)),
        "unit": parameter.unit,
        "range": [parameter.to_native(0.0), parameter.to_native(1.0)],
        "scale": parameter.scale,
        "default": parameter.text(parameter.default),
    }


def put_back(saved: Mapping[str, Any], parameter: Parameter) -> float:
    """The normalised value at which `parameter` has the native value of a saved setting.

    Where the range is the same, it is the saved number to the bit. What was at its default when it was saved, and cannot be had
    here, stays at the default. A file of an earlier version has no native number: its text is read, which has four digits.

    Args:
        saved: as `setting` makes it. "name" and "normalised" are enough; nothing is known of the range then, and the number is
            taken as it is.
        parameter: of the effect as it is opened now.

    Raises:
        ParameterError: this native value is outside the range, or the units do not fit.
    """
    normalised = float(saved["normalised"])
    if not math.isfinite(normalised) or not -_EQUAL <= normalised <= 1.0 + _EQUAL:
        raise ParameterError(f"parameter {parameter.name!r}: {normalised:g} is not in [0, 1]")
    normalised = min(max(normalised, 0.0), 1.0)
    text = saved.get("native")
    if text is None or _without_range(saved) or _means_the_same(saved, parameter, normalised):
        return normalised
    try:
        return parameter.parse(_written(saved, parameter))
    except ParameterError:
        if text == saved.get("default"):
            return parameter.default
        raise


def carried(point: ArrayLike, origin: ParameterSpace, destination: ParameterSpace) -> FloatArray:
    """Settings of one effect, opened twice, with the same native values: `[P]` of `origin` to `[P]` of `destination`.

    The two may differ in their sample rates, and in the ranges that follow from these.

    Raises:
        ParameterError: they have not the same free parameters, or a value is outside the range in `destination`.
    """
    if origin.names != destination.names:
        raise ParameterError(
            f"settings of {', '.join(origin.names)} cannot be carried to {', '.join(destination.names)}; select the same parameters"
        )
    values = origin.snap(origin.check(point))
    rows = [setting(parameter, value) for parameter, value in zip(origin, values.tolist(), strict=True)]
    return np.array([put_back(row, parameter) for row, parameter in zip(rows, destination, strict=True)])


def differing(saved: Sequence[Mapping[str, Any]], space: ParameterSpace) -> list[str]:
    """Names of the free parameters whose native ranges are not the saved ones, which are in the same order."""
    return [
        parameter.name
        for row, parameter in zip(saved, space, strict=True)
        if any(not _near(old, new, parameter) for old, new in zip(row["range"], setting(parameter, 0.0)["range"], strict=True))
        or (row["scale"], row["unit"]) != (parameter.scale, parameter.unit)
    ]


def _without_range(saved: Mapping[str, Any]) -> bool:
    """Whether the plug-in gave neither a unit nor a range, so that the normalised value is all there is."""
    if saved.get("unit") or "unit" not in saved or saved.get("kind") != "continuous":
        return False
    if "range" in saved:
        return list(saved["range"]) == [0.0, 1.0] and saved.get("scale", "linear") == "linear"
    return bool(saved["native"] == digits(float(saved["normalised"])))


def _means_the_same(saved: Mapping[str, Any], parameter: Parameter, normalised: float) -> bool:
    if saved["native"] != parameter.text(normalised):
        return False
    value = saved.get("value")
    return value is None or _near(float(value), parameter.to_native(parameter.snap(normalised)), parameter)


def _near(one: float, other: float, parameter: Parameter) -> bool:
    if parameter.scale == "log":  # of which a small value is as long a way as a large one
        return one > 0.0 and abs(one / other - 1.0) <= _EQUAL
    return abs(one - other) <= _EQUAL * abs(parameter.to_native(1.0) - parameter.to_native(0.0))


def _written(saved: Mapping[str, Any], parameter: Parameter) -> str:
    """The native value as `Parameter.parse` reads it."""
    value, unit = saved.get("value"), str(saved.get("unit", ""))
    if value is not None:
        return f"{float(value)!r} {unit or 'native'}"
    text = str(saved["native"])
    plain = bool(parameter.choices) or parameter.kind == "toggle" or (unit and text.endswith(unit)) or "unit" not in saved
    return text if plain else f"{text} native"
