"""The controls of an effect: the free ones, which a point of the box sets, and the held ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from numbers import Real
from typing import Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.errors import ParameterError
from blackbox_grad.parameters.names import find_fixed, find_name, find_names, plain_name
from blackbox_grad.parameters.parameter import TOLERANCE, FloatArray, Parameter

Selection: TypeAlias = "Literal['continuous', 'audible', 'trainable', 'all'] | Sequence[str]"

#: Name of a selection -> whether a parameter belongs to it.
SELECTIONS: dict[str, Callable[[Parameter], bool]] = {
    "continuous": lambda p: p.trainable and p.kind == "continuous",
    "audible": lambda p: p.trainable and p.kind == "continuous",  # those that may be; an opened effect knows which are heard
    "trainable": lambda p: p.trainable,
    "all": lambda p: True,
}


#: Names in a `repr`.
_SHOWN = 8


def _unique(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Unique names: the second "Gain" becomes "Gain 2", or "Gain 3" beside a real "gain 2". An empty name becomes "Parameter 4",
    from its position."""
    named = [_named(p, i + 1) for i, p in enumerate(parameters)]
    spellings = {plain_name(p.name) for p in named}
    taken: set[str] = set()
    result = []
    for parameter in named:
        name, count = parameter.name, 1
        while name in taken:
            count += 1
            numbered = f"{parameter.name} {count}"
            if plain_name(numbered) not in spellings:
                name = numbered
                spellings.add(plain_name(name))
        taken.add(name)
        result.append(parameter if name == parameter.name else replace(parameter, name=name))
    return tuple(result)


def _named(parameter: Parameter, position: int) -> Parameter:
    """With a name that a line of a terminal can show: no line break, no code that changes its colours or moves its cursor."""
    shown = "".join(c if c.isprintable() else " " for c in parameter.name)
    name = parameter.name if shown == parameter.name else shown.strip()
    return (
        parameter
        if name == parameter.name and name.strip()
        else replace(parameter, name=name.strip() or f"Parameter {position}")
    )


class ParameterSpace(Sequence[Parameter]):
    """The controls of an effect: `P` free ones, which a point `p: [P] in [0, 1]` sets, and the others, held at a value.

    As a sequence it holds the free parameters, in the order of a point. `everything` holds all `F` controls.
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
        shown = ", ".join(self.names[:_SHOWN]) + (f", … ({len(self)} free)" if len(self) > _SHOWN else "")
        return f"ParameterSpace({shown}; {len(self.everything) - len(self)} held)"

    def _repr_html_(self) -> str:
        # by name: this module knows the class
        html: str = import_module("blackbox_grad.parameters.wording").html(self)
        return html

    def __reduce__(self) -> tuple[Any, ...]:
        return ParameterSpace, (self.everything, self.free, self.held)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the free parameters, in the order of a point."""
        return tuple(p.name for p in self)

    @property
    def defaults(self) -> FloatArray:
        """`[P]`: the default values of the free parameters."""
        return self._held[self._free]

    @property
    def steps(self) -> FloatArray:
        """`[P]`: distance between two levels, 0 where continuous."""
        intervals = self._intervals[self._free]
        return np.divide(1.0, intervals, out=np.zeros_like(intervals), where=intervals > 0)

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Position of a parameter in a point, by name. Case, spaces and underscores do not matter if the name is unambiguous."""
        name = value.name if isinstance(value, Parameter) else str(value)
        return find_name(name, self.names)

    def select(
        self,
        parameters: Selection = "continuous",
        fixed: Mapping[str, float | str] | None = None,
    ) -> ParameterSpace:
        """The same controls with another selection of free ones.

        Args:
            parameters: names, in the order of a point, and patterns of names ("Gain *", "* 3"), which stand for trainable ones that
                are not fixed; "continuous": all continuous trainable ones (default), as "audible" is here; "trainable": all
                trainable ones, also stepped ones and toggles; "all": every one.
            fixed: name -> normalised number, or text for `Parameter.parse`. A fixed parameter is not free; one that `parameters`
                names too is an error.
        """
        names = [p.name for p in self.everything]
        held = list(self.held)
        pinned: set[int] = set()
        for name, value in (fixed or {}).items():
            i, value = find_fixed(name, value, names)
            if i in pinned:
                raise ParameterError(f"parameter {names[i]!r} is fixed twice, in two spellings; leave one out")
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
                raise ParameterError(
                    f"parameters={parameters!r}: give 'continuous', 'audible', 'trainable', 'all' or a list of names"
                )
            chosen = SELECTIONS[parameters]
            free = [i for i, p in enumerate(self.everything) if i not in pinned and chosen(p)]
        else:
            passed_over = pinned | {i for i, p in enumerate(self.everything) if not p.trainable}
            free = find_names(parameters, names, passed_over)
            twice = {names[i] for i in free if free.count(i) > 1} | {names[i] for i in free if i in pinned}
            if twice:
                raise ParameterError(f"named more than once, or both free and fixed: {', '.join(sorted(twice))}")
        return ParameterSpace(self.everything, free, held)

    def check(self, points: ArrayLike) -> FloatArray:
        """`[..., P]` inside the box, as float64. Raises `ParameterError` with the parameter and value otherwise."""
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
            raise ParameterError(f"expected one point of {len(self)} values, got an array of shape {np.shape(point)}")
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

    def describe(self, point: ArrayLike, item: int) -> str:
        """One item of a batch, for a message: "item 3 of the batch at Drive=0.5"."""
        values = ", ".join(f"{name}={value:.4g}" for name, value in zip(self.names, np.asarray(point), strict=True))
        return f"item {item} of the batch" + (f" at {values}" if values else "")

    def point(self, values: Mapping[str, float | str] | None = None) -> FloatArray:
        """`[P]`: the defaults with some values replaced, by name; numbers are normalised, text is parsed."""
        p = self.defaults
        given: set[int] = set()
        for name, value in (values or {}).items():
            i, value = find_fixed(name, value, self.names)
            if i in given:
                raise ParameterError(f"parameter {self.names[i]!r} has two values, in two spellings; leave one out")
            given.add(i)
            p[i] = self[i].parse(value) if isinstance(value, str) else float(value)
        return self.check(p)


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
