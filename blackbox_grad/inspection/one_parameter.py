"""What is measured of one parameter: whether it reaches the sound, a sweep, its steps, and what differences along it are worth."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects import Audio
from blackbox_grad.inspection import noise as noises
from blackbox_grad.inspection.listening import SILENCE, Ear, Spectrum, brightness, crest, level, spectrum
from blackbox_grad.inspection.renders import Renders
from blackbox_grad.inspection.resolution import resolution
from blackbox_grad.inspection.results import Agreement, Curve, ParameterInspection, Probes, Region
from blackbox_grad.inspection.whole import relative_error
from blackbox_grad.parameters import FloatArray

#: Values of a sweep, and the most levels of a stepped parameter in one.
SWEEP = 33

#: Where on a sweep differences are compared with the truth, and over which distances.
STARTS = (0.19, 0.5, 0.81)
STEPS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)

#: About what an optimiser moves a parameter at once. Over this, a linearised loss must be worth something: the cosine between the
#: changes that it predicts and the true ones. (Over less, noise may hide both.)
MOVES = (0.01, 0.03)
TRUSTED = 0.8

_KINDS: tuple[Probes, Probes] = ("cotangent", "loss")

#: Values at which a parameter is listened to, to find whether it reaches the sound.
_LISTENED = (0.0, 1.0, 0.37)

#: Every so many-th value of a sweep is a target of differences.
_TARGETS = 2

#: Values of a sweep that only serves the measurement of noise.
_FEW = 6

#: Spacings tried for ECnoise: the first, and the bounds.
_SPACING, _NEAREST, _FURTHEST = 1e-5, 1e-7, 1e-2

#: A loss is a float32 and knows itself no better than this part.
_ROUNDING = 2.0**-24

#: Targets nearer than this part of the furthest say nothing about directions.
_NEAR = 1e-3

#: Recommended steps stay within these: below, float32 parameters are not resolved; above, nothing is local.
_SHORTEST, _LONGEST = 1e-5, 0.1

#: A step that fits into the box from everywhere, for parameters with very few settings.
_HALFWAY = 0.5

#: Of two steps for loss probes that point toward the target this nearly as often, the shorter is better.
_AS_OFTEN = 0.02


def bases(renders: Renders) -> list[FloatArray]:
    """Settings around which parameters are tried, best first: the defaults, the middle, and others."""
    rng, count = np.random.default_rng(1), len(renders.space)
    return [renders.space.snap(p) for p in (renders.space.defaults, np.full(count, 0.5), *rng.uniform(size=(3, count)))]


def effects_of(renders: Renders, indices: Sequence[int], base: FloatArray) -> dict[int, float]:
    """How much each of the parameters changes the output around `base`, at most, relative to it."""
    expected = renders(base[None])[0][0]
    changes = {}
    for i in indices:
        points = np.repeat(base[None], len(_LISTENED), axis=0)
        points[:, i] = _LISTENED
        changes[i] = max(relative_error(expected, y) for y in renders(points)[0])
    return changes


@dataclass(frozen=True)
class Looked:
    """A parameter after the first look, and the differences from which its steps are computed once its noise is known."""

    found: ParameterInspection
    differences: tuple[Differences, ...]


def look(renders: Renders, index: int, base: FloatArray, tolerance: float) -> Looked:
    """What parameter `index`, which reaches the sound around `base`, does, and which probes suit it."""
    parameter = renders.space[index]
    line = _Line(renders, index, base, tolerance)
    sweep = line.sweep(np.linspace(0.0, 1.0, min(SWEEP, parameter.levels or SWEEP)))
    found = ParameterInspection(
        parameter.name,
        parameter.kind,
        reaches_sound=True,
        influence=sweep.influence,
        regions=sweep.regions(),
        curve=sweep.curve,
        around=line.around(),
    )
    distances: tuple[float, ...] = STEPS
    if parameter.levels is not None:
        distances = (parameter.step,)
        found = replace(
            found, steps=sweep.distinct, resolution=parameter.step, step=parameter.step, central_step=parameter.step
        )
    differences = tuple(start.differences(line, distances) for start in line.starts(sweep))
    differences = tuple(d for d in differences if d.finite)
    if not differences:
        return Looked(replace(found, note="too little of its range sounds to compare differences"), ())
    agreements = _agreements(differences, distances)
    known = [(a.step, a.linear) for a in agreements if a.linear is not None]
    over_a_move = [linear for step, linear in known if step in MOVES] or [linear for _, linear in known[:1]]
    if not over_a_move:
        return Looked(replace(found, agreements=agreements, note="nothing changes where differences were taken"), ())
    probes: Probes = "cotangent" if min(over_a_move) >= TRUSTED else "loss"
    return Looked(replace(found, agreements=agreements, probes=probes), differences)


def refine(renders: Renders, looked: Looked, index: int, base: FloatArray, tolerance: float) -> ParameterInspection:
    """Its true resolution, its noise and curvature, and the steps that follow."""
    found, line = looked.found, _Line(renders, index, base, tolerance)
    if renders.space[index].levels is not None:
        return found
    few = line.sweep(np.linspace(0.0, 1.0, _FEW))
    steps = resolution(lambda values: list(line.render(values, few.heard)[0]), line.differs)
    found = replace(found, steps=steps.steps, resolution=steps.widest)
    resolved = min(2.0 * steps.widest, _HALFWAY)
    if found.probes is None:
        if steps.steps is None:
            return found
        # no difference crossed the edge of a step: one that does, and what is never wrong
        return replace(found, step=resolved, central_step=resolved, probes="loss", note="")
    noise = line.noise(line.starts(few), found.probes)
    known = max(noise or 0.0, _ROUNDING)
    every = [d for differences in looked.differences for d in differences.derivatives(found.probes, known)]
    second, third = (float(np.median([getattr(d, order) for d in every])) for order in ("second", "third"))
    if found.probes == "loss":
        # the optimum for the derivative gives the slope of a ripple; what counts is where the target lies
        often = max(a.loss for a in found.agreements) - _AS_OFTEN
        forward = central = next(a.step for a in found.agreements if a.loss >= often)
    else:
        forward, central = noises.forward_step(known, second), noises.central_step(known, third)
    shortest = max(_SHORTEST, resolved, _trusted_from(found) if found.probes == "cotangent" else 0.0)
    bounds = shortest, max(_LONGEST, shortest)
    forward, central = (float(np.clip(step, *bounds)) for step in (forward, central))
    return replace(found, noise=noise, curvature=second, step=forward, central_step=central)


def _trusted_from(found: ParameterInspection) -> float:
    """The step from which on cotangents are trusted up to a move; 0 if at every step."""
    doubtful = [a.step for a in found.agreements if a.step < MOVES[0] and a.linear is not None and a.linear < TRUSTED]
    return min(a.step for a in found.agreements if a.step > max(doubtful)) if doubtful else 0.0


@dataclass
class _Line:
    """The effect along one parameter, the others held at `base`."""

    renders: Renders
    index: int
    base: FloatArray
    tolerance: float

    def __post_init__(self) -> None:
        self.ears = [Ear(dry) for dry in self.renders.signals]

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

    def sweep(self, values: FloatArray) -> _Sweep:
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
        heard = [audio.reshape(-1, audio.shape[-1]) for audio in y]

        def curve(numbers: Sequence[float], known: NDArray[np.bool_]) -> tuple[float | None, ...]:
            return tuple(round(float(n), 4) if ok else None for n, ok in zip(numbers, known, strict=True))

        return _Sweep(
            values=values,
            finite=finite,
            silent=silent,
            decibels=decibels,
            influence=float(np.sqrt(squares.mean(axis=0).max())),
            heard=_heard(squares.max(axis=1)),
            distinct=1 + sum(self.differs(a, b) for a, b in itertools.pairwise(y)),
            curve=Curve(
                values=tuple(values.tolist()),
                distance=curve(np.sqrt(squares.mean(axis=0)).tolist(), finite),
                level=curve([level(a) for a in heard], finite & ~silent),
                brightness=curve([brightness(a, rate) for a in heard], finite & ~silent),
                crest=curve([crest(a) for a in heard], finite & ~silent),
            ),
        )

    def starts(self, sweep: _Sweep) -> list[_Start]:
        """At places spread over what sounds."""
        sounding = np.flatnonzero(sweep.finite & ~sweep.silent)
        if len(sounding) < 2:
            return []
        places = sorted({int(sounding[round(part * (len(sounding) - 1))]) for part in STARTS})
        y, _ = self.render(sweep.values[places])
        starts = [_Start(self.ears, sweep, place, audio) for place, audio in zip(places, y, strict=True)]
        return [start for start in starts if len(start.below)]

    def noise(self, starts: Sequence[_Start], probes: Probes) -> float | None:
        """ECnoise at all starts, with the spacing that suits most; None if there is none."""
        spacing, tried, levels = _SPACING, set[float](), list[float]()
        while starts and _NEAREST <= spacing <= _FURTHEST and spacing not in tried:
            tried.add(spacing)
            values = np.concatenate([start.value + spacing * np.arange(noises.POINTS) for start in starts])
            y, finite = self.render(values)
            if not finite.all():
                break
            verdicts = []
            for start, sounds in zip(starts, np.split(y, len(starts)), strict=True):
                changes = np.array([start.changes(audio, np.complex128)[probes] for audio in sounds])  # [POINTS, targets]
                verdicts += [noises.ecnoise(of_one, scale=1.0) for of_one in changes.T]
            levels = [v.level for v in verdicts if v.verdict == "found"] or levels
            far, near = (sum(v.verdict == which for v in verdicts) for which in ("too far", "too near"))
            if 2 * (far + near) <= len(verdicts):
                break
            spacing = spacing / 10.0 if far > near else spacing * 10.0
        return float(np.median(levels)) if levels else None


@dataclass
class _Sweep:
    """What was heard at `values: [V]`. `decibels`: of each signal `[V, N]`; `heard`: a signal in which it is heard well."""

    values: FloatArray
    finite: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    decibels: list[FloatArray]
    influence: float
    heard: slice
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


def _heard(influences: FloatArray) -> slice:
    """The first signal that a parameter changes nearly as much as any: a recording has no gaps in which nothing is heard."""
    first = int(np.argmax(influences >= 0.1 * influences.max()))
    return slice(first, first + 1)


class _Start:
    """A place on the sweep, and the probes of losses from there to other places, as changes from here relative to the loss.

    Attributes:
        losses: toward each target, dB², `[targets]`.
        below: which targets lie at lower values than this place.
    """

    def __init__(self, ears: Sequence[Ear], sweep: _Sweep, place: int, audio: Audio) -> None:
        self.ears, self._audio = ears, audio
        self.value = float(sweep.values[place])
        every = _TARGETS if len(sweep.values) > _FEW else 1
        values, finite = sweep.values[::every], sweep.finite[::every]
        self._targets = [d[::every] for d in sweep.decibels]  # of each signal [targets, N]
        losses = np.zeros(len(values))
        for d, targets in zip(sweep.decibels, self._targets, strict=True):
            losses += [np.mean((d[place] - target) ** 2) for target in targets]
        self._far = finite & (losses > _NEAR * losses[finite].max(initial=0.0))
        self.losses = losses[self._far]
        self.below = values[self._far] < self.value
        self._spectra: dict[type, list[Spectrum]] = {}

    def changes(self, audio: Audio, kind: type = np.complex64) -> dict[Probes, FloatArray]:
        """How each probe of `audio: [S, C, T]` differs from the same probe here: `[targets]`, relative to the loss here.

        The loss is the mean square of `apart = decibels(here) - decibels(target)`. A change of the log spectrum by `d` changes
        it by `2 ⟨apart, d⟩ + ⟨d, d⟩`, and a cotangent probe by `2 ⟨apart, linearised d⟩`.
        """
        if kind not in self._spectra:
            self._spectra[kind] = [spectrum(a, kind) for a in self._audio]
        linear, true = np.zeros(len(self.losses)), np.zeros(len(self.losses))
        for ear, targets, before, sound in zip(self.ears, self._targets, self._spectra[kind], audio, strict=True):
            after = spectrum(sound, kind)
            decibels = ear.decibels(before)
            d = ear.decibels(after) - decibels
            # `apart @ both` without a copy of all targets; together, as each pass over the targets is dear
            both = np.stack([ear.linearised(before, after), d], axis=1)
            product = 2.0 * (decibels @ both - targets @ both)[self._far] / len(d)
            linear += product[:, 0]
            true += product[:, 1] + np.mean(d**2)
        return {"cotangent": linear / self.losses, "loss": true / self.losses}

    def differences(self, line: _Line, distances: Sequence[float]) -> Differences:
        """Probe up and down; at a face of the box, one side stays here."""
        up, down = (np.clip(self.value + sign * np.array(distances), 0.0, 1.0) for sign in (1.0, -1.0))
        y, finite = line.render(np.concatenate([up, down]))
        changes = [self.changes(audio) for audio in y]
        ups, downs = changes[: len(up)], changes[len(up) :]
        return Differences(self.losses, self.below, tuple(distances), ups, downs, bool(finite.all()))


@dataclass(frozen=True)
class Differences:
    """Changes of the probes of all targets, `distances` up and down from a start. `losses`, `below`: as in `_Start`."""

    losses: FloatArray
    below: NDArray[np.bool_]
    distances: tuple[float, ...]
    up: list[dict[Probes, FloatArray]]
    down: list[dict[Probes, FloatArray]]
    finite: bool

    def derivatives(self, probes: Probes, noise: float) -> list[noises.Derivatives]:
        """Of the probe of each target."""
        up, down = (np.array([c[probes] for c in changes]).T for changes in (self.up, self.down))
        return [noises.derivatives(0.0, u, d, self.distances, noise) for u, d in zip(up, down, strict=True)]


def _agreements(differences: Sequence[Differences], distances: Sequence[float]) -> tuple[Agreement, ...]:
    below = np.concatenate([d.below for d in differences])
    # near and far targets count alike: the derivative of a square grows with its root
    weight = np.concatenate([np.sqrt(d.losses) for d in differences])
    made = []
    for n, step in enumerate(distances):
        told, true = (weight * np.concatenate([d.up[n][k] - d.down[n][k] for d in differences]) for k in _KINDS)
        length = float(np.linalg.norm(told) * np.linalg.norm(true))
        linear = float(told @ true) / length if length > 0 else None
        # with the target below, the loss grows upward; where nothing changes, it is chance
        right = [float(np.mean((np.sign(change) * np.where(below, 1, -1) + 1) / 2)) for change in (told, true)]
        made.append(Agreement(float(step), linear, *right))
    return tuple(made)
