"""Parameters of an effect and the box `[0, 1]^P` in which estimators work.

A *normalised* value lies in [0, 1]; a *native* value is what the plug-in shows (Hz, dB, ms). This module needs numpy only:
host processes import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blackbox_grad.errors import ParameterError, suggest

Kind: TypeAlias = Literal["continuous", "stepped", "toggle"]
Scale: TypeAlias = Literal["linear", "log", "table"]
Selection: TypeAlias = "Literal['continuous', 'trainable', 'all'] | Sequence[str]"
FloatArray: TypeAlias = NDArray[np.float64]

#: Values this far outside [0, 1] are rounding errors of the caller and are clamped; beyond it they are refused.
TOLERANCE = 1e-6

#: unit -> (base unit, factor): how the units of one family convert into each other.
_UNITS = {
    "s": ("s", 1.0), "sec": ("s", 1.0), "ms": ("s", 1e-3), "us": ("s", 1e-6),
    "hz": ("hz", 1.0), "khz": ("hz", 1e3),
    "db": ("db", 1.0), "%": ("%", 1.0), "st": ("st", 1.0), "semitones": ("st", 1.0), "bits": ("bits", 1.0),
}  # fmt: skip

_NUMBER_WITH_UNIT = re.compile(r"^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*$")


@dataclass(frozen=True)
class Parameter:
    """One control of an effect.

    Attributes:
        name: as the plug-in shows it; made unique within a `ParameterSpace`.
        kind: `continuous`, `stepped` (`levels` values) or `toggle` (2 levels).
        default: normalised, in [0, 1].
        levels: number of values of a stepped parameter (2 for a toggle, None if continuous). Level `i` of `n` lies at `i / (n-1)`.
        minimum, maximum: native values at normalised 0 and 1; `minimum > maximum` is allowed.
        unit: of the native value ("Hz", "dB", "ms", "%", ""); "" with a range of 0..1 means that nothing better is known.
        scale: how native follows normalised: `linear`, `log` (geometric) or `table`.
        table: for `scale="table"`: native values at equally spaced normalised values, monotone.
        choices: the text of each level, where the plug-in names them.
        trainable: False for a control that is held at its value unless asked for by name.
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
        if not low - slack <= native <= high + slack:
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
            native = 0.0  # a rounding error of the range
        return f"{_digits(native)}{' ' + self.unit if self.unit else ''}"

    def parse(self, text: str) -> float:
        """A normalised value from what a person writes.

        A bare number is normalised ("0.4"). A number with a unit is native ("350ms", "2 kHz", "30%"); "native" stands for
        the unit where the plug-in has none ("4 native"). A stepped parameter also takes the text of a level.
        """
        wanted = text.strip().lower()
        for index, choice in enumerate(self.choices):
            if choice.strip().lower() == wanted:
                return index / max(1, len(self.choices) - 1)
        if self.kind == "toggle" and wanted in ("on", "true", "yes", "off", "false", "no"):
            return 1.0 if wanted in ("on", "true", "yes") else 0.0
        match = _NUMBER_WITH_UNIT.match(text)
        allowed = ", ".join(self.choices) or f"{self.text(0.0)} to {self.text(1.0)}"
        if match is None:
            raise ParameterError(
                f"parameter {self.name!r}: cannot read {text!r}; write a normalised value (0 to 1), or a native one with "
                f"its unit. Allowed: {allowed}"
            )
        number, unit = float(match[1]), match[2].lower()
        if not unit:
            if not 0.0 <= number <= 1.0:
                native = f"{match[1]}{self.unit or ' native'}"
                raise ParameterError(
                    f"parameter {self.name!r}: {number:g} is a normalised value and must lie in [0, 1]; for the native "
                    f"value write {native!r} (allowed: {allowed})"
                )
            return number
        return self.to_normalised(number * self._unit_factor(unit, text))

    def _unit_factor(self, unit: str, text: str) -> float:
        own = self.unit.strip().lower()
        if unit in ("native", own):
            return 1.0
        if unit in _UNITS and own in _UNITS and _UNITS[unit][0] == _UNITS[own][0]:
            return _UNITS[unit][1] / _UNITS[own][1]
        has = f"is in {self.unit}" if self.unit else "has no unit (write the unit as 'native')"
        raise ParameterError(f"parameter {self.name!r} {has}; {text!r} cannot be converted")


#: Selections of parameters by name -> whether one belongs to it.
SELECTIONS: dict[str, Callable[[Parameter], bool]] = {
    "continuous": lambda p: p.trainable and p.kind == "continuous",
    "trainable": lambda p: p.trainable,
    "all": lambda p: True,
}


def _digits(number: float) -> str:
    """Four digits, and no exponent where people would write none.

    >>> _digits(20000.0), _digits(0.08001), _digits(1e-7)
    ('20000', '0.08001', '1e-07')
    """
    if number and not 1e-4 <= abs(number) < 1e6:
        return f"{number:.4g}"
    return np.format_float_positional(float(f"{number:.4g}"), trim="-")


def _unique(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Names that survive duplicates: the second "Gain" becomes "Gain 2"."""
    taken: set[str] = set()
    result = []
    for parameter in parameters:
        name, count = parameter.name, 1
        while name in taken:
            count += 1
            name = f"{parameter.name} {count}"
        taken.add(name)
        result.append(parameter if name == parameter.name else replace(parameter, name=name))
    return tuple(result)


class ParameterSpace(Sequence[Parameter]):
    """The controls of an effect: `P` free ones, which a point `p: [P] in [0, 1]` sets, and the others, held at a value.

    As a sequence it is the free parameters, in the order of a point. `everything` lists all `F` of them.
    """

    everything: tuple[Parameter, ...]
    free: tuple[int, ...]
    held: tuple[float, ...]

    def __init__(
        self,
        parameters: Iterable[Parameter],
        free: Sequence[int] | None = None,
        held: Sequence[float] | None = None,
    ) -> None:
        self.everything = _unique(parameters)
        self.free = tuple(range(len(self.everything)) if free is None else free)
        self.held = tuple(p.default for p in self.everything) if held is None else tuple(map(float, held))
        self._free = np.asarray(self.free, dtype=np.intp)
        self._held = np.asarray(self.held, dtype=np.float64)
        self._intervals = np.array([(p.levels or 1) - 1 for p in self.everything], dtype=np.float64)

    @overload
    def __getitem__(self, index: int) -> Parameter: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Parameter, ...]: ...
    def __getitem__(self, index: int | slice) -> Parameter | tuple[Parameter, ...]:
        if isinstance(index, slice):
            return tuple(self.everything[i] for i in self.free[index])
        return self.everything[self.free[index]]

    def __len__(self) -> int:
        return len(self.free)

    def __iter__(self) -> Iterator[Parameter]:
        return (self.everything[i] for i in self.free)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ParameterSpace):
            return NotImplemented
        return (self.everything, self.free, self.held) == (other.everything, other.free, other.held)

    def __hash__(self) -> int:
        return hash((self.everything, self.free, self.held))

    def __repr__(self) -> str:
        return f"ParameterSpace({', '.join(self.names)}; {len(self.everything) - len(self)} held)"

    def __reduce__(self) -> tuple[Any, ...]:
        return ParameterSpace, (self.everything, self.free, self.held)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the free parameters, in the order of a point."""
        return tuple(p.name for p in self)

    @property
    def defaults(self) -> FloatArray:
        """`[P]`: the values the free parameters have when nobody sets them."""
        return self._held[self._free]

    @property
    def steps(self) -> FloatArray:
        """`[P]`: distance between two levels, 0 where continuous."""
        intervals = self._intervals[self._free]
        return np.divide(1.0, intervals, out=np.zeros_like(intervals), where=intervals > 0)

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Position of a parameter in a point, by name; case, spaces and underscores do not matter if it is unambiguous."""
        name = value.name if isinstance(value, Parameter) else str(value)
        return _find(name, self.names)

    def select(
        self,
        parameters: Selection = "continuous",
        fixed: Mapping[str, float | str] | None = None,
    ) -> ParameterSpace:
        """The same controls with another choice of free ones.

        Args:
            parameters: names, in the order a point shall have; "continuous": all continuous trainable ones (default);
                "trainable": all trainable ones, the stepped ones and toggles too; "all": every one.
            fixed: name -> normalised number or text as `Parameter.parse` reads it. A fixed parameter is not free unless
                it is named in `parameters` too, in which case this is refused.
        """
        names = [p.name for p in self.everything]
        held = list(self.held)
        pinned: set[int] = set()
        for name, value in (fixed or {}).items():
            i = _find(name, names)
            parameter = self.everything[i]
            if isinstance(value, str):
                number = parameter.parse(value)
            elif isinstance(value, Real):
                number = float(_within_box(np.array([float(value)]), [parameter.name])[0])
            else:
                raise ParameterError(f"parameter {parameter.name!r}: {value!r} is neither a number nor text")
            held[i] = parameter.snap(number)
            pinned.add(i)
        if isinstance(parameters, str):
            if parameters not in SELECTIONS:
                raise ParameterError(f"parameters={parameters!r}: give 'continuous', 'trainable', 'all' or a list of names")
            chosen = SELECTIONS[parameters]
            free = [i for i, p in enumerate(self.everything) if i not in pinned and chosen(p)]
        else:
            free = [_find(name, names) for name in parameters]
            twice = {names[i] for i in free if free.count(i) > 1} | {names[i] for i in free if i in pinned}
            if twice:
                raise ParameterError(f"named more than once, or both free and fixed: {', '.join(sorted(twice))}")
        return ParameterSpace(self.everything, free, held)

    def check(self, points: ArrayLike) -> FloatArray:
        """`[..., P]` inside the box, as float64; raises `ParameterError` with the parameter and value otherwise."""
        expected = f"a point has {len(self)} values ({', '.join(self.names)})"
        try:
            p = np.asarray(points, dtype=np.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ParameterError(f"{expected}, numbers in [0, 1]: {error}") from error
        if p.ndim == 0 or p.shape[-1] != len(self):
            raise ParameterError(f"{expected}, got an array of shape {p.shape}")
        return _within_box(p, self.names)

    def snap(self, points: ArrayLike) -> FloatArray:
        """`[..., P]` with every stepped parameter at its nearest level."""
        p = np.asarray(points, dtype=np.float64)
        return _snap(p, self._intervals[self._free])

    def complete(self, point: ArrayLike) -> FloatArray:
        """`[P]` -> `[F]`: the free values in their places, snapped to levels, all others at their held values."""
        if np.ndim(point) > 1:
            raise ParameterError(f"one point of {len(self)} values is due here, got an array of shape {np.shape(point)}")
        return self.complete_all(point)

    def complete_all(self, points: ArrayLike) -> FloatArray:
        """`complete` for `[..., P]` -> `[..., F]`."""
        chosen = self.snap(self.check(points))
        values = np.empty((*chosen.shape[:-1], len(self.everything)))
        values[...] = self._held
        values[..., self._free] = chosen
        return values

    def to_native(self, point: ArrayLike) -> dict[str, float]:
        """Name -> native value, for the free parameters."""
        return {p.name: p.to_native(v) for p, v in zip(self, self.snap(self.check(point)), strict=True)}

    def to_text(self, point: ArrayLike) -> dict[str, str]:
        """Name -> native value as text, for the free parameters."""
        return {p.name: p.text(v) for p, v in zip(self, self.check(point), strict=True)}

    def point(self, values: Mapping[str, float | str] | None = None) -> FloatArray:
        """`[P]`: the defaults with some values replaced, by name; numbers are normalised, text is parsed."""
        p = self.defaults
        for name, value in (values or {}).items():
            i = self.index(name)
            p[i] = self[i].parse(value) if isinstance(value, str) else float(value)
        return self.check(p)


def _plain(name: str) -> str:
    """Without case, spaces, dashes and underscores: "Room size" is `room_size`."""
    return re.sub(r"[\s_-]+", "", name.lower())


def _find(name: str, names: Sequence[str]) -> int:
    if not isinstance(name, str):
        raise ParameterError(f"a parameter's name is text, got {name!r}; there are: {', '.join(names)}")
    if name in names:
        return names.index(name)
    plain = [_plain(n) for n in names]
    if plain.count(_plain(name)) == 1:
        return plain.index(_plain(name))
    raise ParameterError(f"no parameter {name!r}; {suggest(name, names)}")


def _snap(values: FloatArray, intervals: FloatArray) -> FloatArray:
    stepped = intervals > 0
    safe = np.where(stepped, intervals, 1.0)
    return np.where(stepped, np.round(values * safe) / safe, values)


def _within_box(p: FloatArray, names: Sequence[str]) -> FloatArray:
    bad = ~((p >= -TOLERANCE) & (p <= 1.0 + TOLERANCE))  # NaN is bad too
    if bad.any():
        where = tuple(np.argwhere(bad)[0])
        item = f" (item {where[0]})" if len(where) > 1 else ""
        raise ParameterError(
            f"parameter {names[where[-1]]!r}{item}: {p[where]:g} is not in [0, 1]. Parameters are normalised; "
            "put a sigmoid or clamp before the effect, or convert with ParameterSpace.point()"
        )
    return np.clip(p, 0.0, 1.0)
