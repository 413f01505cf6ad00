"""One control of an effect: its kind, its levels and its scale; normalised and native values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.errors import ParameterError, suggest
from blackbox_grad.parameters.knots import Knot
from blackbox_grad.parameters.units import NUMBER_WITH_UNIT, UNITS, digits

Kind: TypeAlias = Literal["continuous", "stepped", "toggle"]

Scale: TypeAlias = Literal["linear", "log", "table"]

FloatArray: TypeAlias = NDArray[np.float64]

#: Values at most this far outside [0, 1] are the caller's rounding errors and are clamped. Values further outside are refused.
TOLERANCE = 1e-6


#: What makes a number a part of the range, where a unit would make it native.
_NORMALISED = ("normalised", "normalized")


@dataclass(frozen=True)
class Parameter:
    """One control of an effect.

    Attributes:
        name: as the plug-in shows it; made unique within a `ParameterSpace`.
        kind: `continuous`, `stepped` (`levels` values) or `toggle` (2 levels).
        default: normalised, in [0, 1].
        levels: number of values of a stepped parameter; 2 for a toggle, None if continuous. Level `i` of `n` lies at `i / (n-1)`.
        minimum, maximum: native values at normalised 0 and 1; `minimum > maximum` is allowed.
        unit: of the native value ("Hz", "dB", "ms", "%", ""). "" with a range of 0..1: the plug-in gives no unit and no range.
        scale: how native follows normalised: `linear`, `log` (geometric) or `table`.
        table: for `scale="table"`: native values at equally spaced normalised values, monotone.
        choices: the text of each level, if the plug-in names them.
        trainable: False for a control that keeps its value unless it is selected by name.
        knot: of a parameter that is one knot of a curve, which curve, and where on it.
    """

    name: str
    kind: Kind = "continuous"
    default: float = 0.5
    levels: int | None = None
    minimum: float = 0.0
    maximum: float = 1.0
    unit: str = ""
    scale: Scale = "linear"
    table: tuple[float, ...] = ()
    choices: tuple[str, ...] = ()
    trainable: bool = True
    knot: Knot | None = None

    def __post_init__(self) -> None:
        def refuse(what: str) -> ParameterError:
            return ParameterError(f"parameter {self.name!r}: {what}")

        if self.kind not in ("continuous", "stepped", "toggle"):
            raise refuse(f"kind {self.kind!r} is unknown; allowed are 'continuous', 'stepped' and 'toggle'")
        if self.kind == "toggle" and self.levels is None:
            object.__setattr__(self, "levels", 2)
        if self.kind == "stepped" and (self.levels is None or self.levels < 2):
            raise refuse(f"a stepped parameter needs levels >= 2, got {self.levels}")
        if self.kind == "toggle" and self.levels != 2:
            raise refuse(f"a toggle has 2 levels, got {self.levels}")
        if self.kind == "continuous" and self.levels is not None:
            raise refuse(f"a continuous parameter has no levels, got {self.levels}; use kind='stepped'")
        if not (np.isfinite(self.default) and 0.0 <= self.default <= 1.0):
            raise refuse(f"default {self.default} is not in [0, 1]; give it normalised")
        if not (np.isfinite(self.minimum) and np.isfinite(self.maximum)):
            raise refuse(f"native range {self.minimum}..{self.maximum} must be finite")
        if self.scale == "log" and not (self.minimum > 0.0 and self.maximum > 0.0):
            raise refuse(f"a log scale needs a positive range, got {self.minimum}..{self.maximum}")
        if self.scale == "table" and (len(self.table) < 2 or not np.all(np.isfinite(self.table))):
            raise refuse(f"a table needs at least 2 finite values, got {self.table}")
        if self.choices and len(self.choices) != self.levels:
            raise refuse(f"{len(self.choices)} choices do not fit {self.levels} levels")

    @property
    def step(self) -> float:
        """Distance between two levels, normalised; 0 for a continuous parameter."""
        return 0.0 if self.levels is None else 1.0 / (self.levels - 1)

    def snap(self, value: float) -> float:
        """The nearest level of a stepped parameter; the value itself of a continuous one."""
        if self.levels is None:
            return float(value)
        return round(value * (self.levels - 1)) / (self.levels - 1)

    def to_native(self, value: float) -> float:
        """Normalised -> native."""
        if self.scale == "log":
            return float(self.minimum * (self.maximum / self.minimum) ** value)
        if self.scale == "table":
            return float(np.interp(value, np.linspace(0.0, 1.0, len(self.table)), self.table))
        return float(self.minimum + value * (self.maximum - self.minimum))

    def to_normalised(self, native: float) -> float:
        """Native -> normalised. Raises `ParameterError` outside the native range."""
        ends = (self.table[0], self.table[-1]) if self.scale == "table" else (self.minimum, self.maximum)
        low, high = min(ends), max(ends)
        slack = 1e-6 * max(abs(low), abs(high), 1e-12)
        shown = any(digits(native) == digits(end) for end in ends)  # "63.1" of a maximum of 63.0957
        if not low - slack <= native <= high + slack and not shown:
            unit = f" {self.unit}" if self.unit else ""
            raise ParameterError(f"parameter {self.name!r}: {native:g}{unit} is outside its range {low:g} to {high:g}{unit}")
        native = min(max(native, low), high)
        if self.scale == "log":
            return float(np.log(native / self.minimum) / np.log(self.maximum / self.minimum))
        if self.scale == "table":
            table, grid = np.asarray(self.table), np.linspace(0.0, 1.0, len(self.table))
            if table[0] > table[-1]:
                table, grid = table[::-1], grid[::-1]
            return float(np.interp(native, table, grid))
        span = self.maximum - self.minimum
        return 0.0 if span == 0.0 else (native - self.minimum) / span

    def text(self, value: float) -> str:
        """The native value as text: "350 ms", "Bassman", "on"."""
        value = self.snap(value)
        if self.choices:
            return self.choices[round(value * (len(self.choices) - 1))]
        if self.kind == "toggle":
            return "on" if value >= 0.5 else "off"
        native = self.to_native(value)
        if abs(native) < 1e-6 * max(abs(self.to_native(0.0)), abs(self.to_native(1.0))):
            native = 0.0  # a rounding error
        return f"{digits(native)}{' ' + self.unit if self.unit else ''}"

    def parse(self, text: str) -> float:
        """A normalised value from the text that a person writes.

        A number with a unit is native ("350ms", "2 kHz", "30%"). "native" stands for the unit if the plug-in has none ("4 native").
        "0.4 normalised" is a part of the range, and so is a bare number, unless it could be a native value too and mean something
        else: that is refused. A stepped parameter also accepts the text of a level.
        """
        wanted = text.strip().lower()
        for index, choice in enumerate(self.choices):
            if choice.strip().lower() == wanted:
                return index / max(1, len(self.choices) - 1)
        if self.kind == "toggle" and wanted in ("on", "true", "yes", "off", "false", "no"):
            return 1.0 if wanted in ("on", "true", "yes") else 0.0
        match = NUMBER_WITH_UNIT.match(text)
        allowed = ", ".join(self.choices) or f"{self.text(0.0)} to {self.text(1.0)}"
        if match is None:
            if self.choices:
                raise ParameterError(f"parameter {self.name!r}: cannot read {text!r}; {suggest(text, self.choices)}")
            if self.kind == "toggle":
                raise ParameterError(f"parameter {self.name!r}: cannot read {text!r}; write 'on' or 'off'")
            raise ParameterError(
                f"parameter {self.name!r}: cannot read {text!r}; write a normalised value (0 to 1), or a native one with "
                f"{'its unit' if self.unit else 'the word native'} (allowed: {allowed})"
            )
        number, unit = float(match[1]), match[2].lower()
        if unit not in ("", *_NORMALISED):
            return self.to_normalised(number * self._unit_factor(unit, text))
        native = f"{match[1]}{self.unit or ' native'}"
        if not 0.0 <= number <= 1.0:
            if not unit and not self.choices:
                self.to_normalised(number)  # raises where it is no native value either
            if self.choices:
                raise ParameterError(f"parameter {self.name!r}: {match[1]} is none of its settings; write one of {allowed}")
            raise ParameterError(
                f"parameter {self.name!r}: {number:g} is a normalised value and must lie in [0, 1]; for the native "
                f"value write {native!r} (allowed: {allowed})"
            )
        if not unit and self._means_another(number):
            raise ParameterError(
                f"parameter {self.name!r}: {match[1]} may be the native value or a part of the range, which is "
                f"{self.text(number)}; write {native!r} or '{match[1]} normalised'"
            )
        return number

    def _means_another(self, number: float) -> bool:
        """Whether the number is a native value too, at another place of the range."""
        try:
            native = self.to_normalised(number)
        except ParameterError:
            return False
        return abs(self.snap(native) - self.snap(number)) > TOLERANCE

    def _unit_factor(self, unit: str, text: str) -> float:
        own = self.unit.strip().lower()
        if unit in ("native", own):
            return 1.0
        if unit in UNITS and own in UNITS and UNITS[unit][0] == UNITS[own][0]:
            return UNITS[unit][1] / UNITS[own][1]
        if re.match(r",\d", unit):
            pointed = text.replace(",", ".")
            raise ParameterError(f"parameter {self.name!r}: cannot read {text!r}; write a decimal point, {pointed!r}")
        has = f"is in {self.unit}" if self.unit else "has no unit"
        example = f"{self.text(self.default)}{'' if self.unit else ' native'}"
        raise ParameterError(
            f"parameter {self.name!r} {has}, so {text!r} cannot be converted; write it as {example!r} "
            f"(allowed: {self.text(0.0)} to {self.text(1.0)})"
        )
