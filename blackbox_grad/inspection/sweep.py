"""An effect along one parameter."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.repeatability import relative_error
from blackbox_grad.inspection.listening import SILENCE, Ear, brightness, crest, level, spectrum
from blackbox_grad.inspection.renders import Renders
from blackbox_grad.inspection.results import Curve, Region
from blackbox_grad.parameters.parameter import FloatArray

#: Values of a sweep that serves only the measurement of noise.
FEW = 6


@dataclass
class Line:
    """The effect along one parameter, the others held at `base`."""

    renders: Renders
    index: int
    base: FloatArray
    tolerance: float

    def __post_init__(self) -> None:
        self.ears = [Ear(dry) for dry in self.renders.references]

    def render(self, values: FloatArray, which: slice = slice(None)) -> tuple[Audio, NDArray[np.bool_]]:
        """`values: [K]` -> audio `[K, S, C, T]`, and which are finite for every signal, `[K]`."""
        points = np.repeat(self.base[None], len(values), axis=0)
        points[:, self.index] = values
        y, finite = self.renders(points, which)
        return y, np.all(finite, axis=1)

    def differs(self, a: Audio, b: Audio) -> bool:
        return relative_error(a, b) > self.tolerance

    def around(self) -> tuple[tuple[str, float], ...]:
        space = self.renders.space
        return tuple(
            (name, round(float(value), 4))
            for i, (name, value, default) in enumerate(zip(space.names, self.base, space.snap(space.defaults), strict=True))
            if value != default and i != self.index
        )

    def sweep(self, values: FloatArray) -> Sweep:
        here, _ = self.render(self.base[self.index : self.index + 1])
        y, finite = self.render(values)
        decibels = [
            np.stack([ear.decibels(spectrum(audio[s])) for audio in y]) for s, ear in enumerate(self.ears)
        ]  # of each signal [V, N]
        own = [ear.decibels(spectrum(here[0, s])) for s, ear in enumerate(self.ears)]
        squares = np.array([np.mean((d - o) ** 2, axis=1) for d, o in zip(decibels, own, strict=True)])
        squares[:, ~finite] = 0.0
        silent = finite & (np.abs(y).max(axis=(1, 2, 3)) < SILENCE)
        rate = self.renders.spec.sample_rate
        outputs = [audio.reshape(-1, audio.shape[-1]) for audio in y]

        def curve(numbers: Sequence[float], known: NDArray[np.bool_]) -> tuple[float | None, ...]:
            return tuple(round(float(n), 4) if ok else None for n, ok in zip(numbers, known, strict=True))

        return Sweep(
            values=values,
            finite=finite,
            silent=silent,
            decibels=decibels,
            influence=float(np.sqrt(squares.mean(axis=0).max())),
            signal=_audible_in(squares.max(axis=1)),
            distinct=1 + sum(self.differs(a, b) for a, b in itertools.pairwise(y)),
            curve=Curve(
                values=tuple(values.tolist()),
                distance=curve(np.sqrt(squares.mean(axis=0)).tolist(), finite),
                level=curve([level(a) for a in outputs], finite & ~silent),
                brightness=curve([brightness(a, rate) for a in outputs], finite & ~silent),
                crest=curve([crest(a) for a in outputs], finite & ~silent),
            ),
        )


@dataclass
class Sweep:
    """Renders at `values: [V]`. `decibels`: of each signal `[V, N]`; `signal`: one in which the parameter is clearly audible."""

    values: FloatArray
    finite: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    decibels: list[FloatArray]
    influence: float
    signal: slice
    distinct: int
    curve: Curve

    def regions(self) -> tuple[Region, ...]:
        made = []
        kinds: tuple[tuple[Literal["silent", "non-finite"], Any], ...] = (("non-finite", ~self.finite), ("silent", self.silent))
        for kind, flags in kinds:
            for flag, group in itertools.groupby(zip(flags, self.values.tolist(), strict=True), key=lambda pair: bool(pair[0])):
                if flag:
                    values = [value for _, value in group]
                    made.append(Region(kind, values[0], values[-1]))
        return tuple(made)


def _audible_in(influences: FloatArray) -> slice:
    """The first signal with at least a tenth of the largest influence; the recording is preferred, as it has no silent gaps."""
    first = int(np.argmax(influences >= 0.1 * influences.max()))
    return slice(first, first + 1)
