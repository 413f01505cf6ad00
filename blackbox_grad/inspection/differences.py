"""How good differences along one parameter are: as gradients over a step, and as a direction toward a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.inspection import noise as noises
from blackbox_grad.inspection.listening import Ear, Spectrum, spectrum
from blackbox_grad.inspection.results import Agreement, ProbeKind
from blackbox_grad.inspection.sweep import FEW, Line, Sweep
from blackbox_grad.parameters.parameter import FloatArray

_KINDS: tuple[ProbeKind, ProbeKind] = ("cotangent", "loss")

#: Every n-th value of a sweep is a target of differences.
_TARGETS = 2

#: Spacings for ECnoise: the first, and the bounds.
_SPACING, _NEAREST, _FURTHEST = 1e-5, 1e-7, 1e-2

#: Targets whose loss is below this part of the largest say nothing about directions.
_NEAR = 1e-3


class _Start:
    """A place on the sweep, and the probes of its losses toward other places on it: as changes from here, relative to the loss.

    Attributes:
        losses: toward each target, dB², `[targets]`.
        below: which targets lie at lower values than this place.
    """

    def __init__(self, ears: Sequence[Ear], sweep: Sweep, place: int, audio: Audio) -> None:
        self.ears, self._audio = ears, audio
        self.value = float(sweep.values[place])
        every = _TARGETS if len(sweep.values) > FEW else 1
        values, finite = sweep.values[::every], sweep.finite[::every]
        self._targets = [d[::every] for d in sweep.decibels]  # of each signal [targets, N]
        losses = np.zeros(len(values))
        for d, targets in zip(sweep.decibels, self._targets, strict=True):
            losses += [np.mean((d[place] - target) ** 2) for target in targets]
        self._far = finite & (losses > _NEAR * losses[finite].max(initial=0.0))
        self.losses = losses[self._far]
        self.below = values[self._far] < self.value
        self._spectra: dict[type, list[Spectrum]] = {}

    def changes(self, audio: Audio, kind: type = np.complex64) -> dict[ProbeKind, FloatArray]:
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
            # `apart @ both` without a copy of all targets; one product for both, as each pass over the targets is slow
            both = np.stack([ear.linearised(before, after), d], axis=1)
            product = 2.0 * (decibels @ both - targets @ both)[self._far] / len(d)
            linear += product[:, 0]
            true += product[:, 1] + np.mean(d**2)
        return {"cotangent": linear / self.losses, "loss": true / self.losses}

    def differences(self, line: Line, distances: Sequence[float]) -> Differences:
        """Probe up and down; at a face of the box, one side stays here."""
        up, down = (np.clip(self.value + sign * np.array(distances), 0.0, 1.0) for sign in (1.0, -1.0))
        y, finite = line.render(np.concatenate([up, down]))
        changes = [self.changes(audio) for audio in y]
        ups, downs = changes[: len(up)], changes[len(up) :]
        return Differences(self.losses, self.below, tuple(distances), ups, downs, bool(finite.all()))


@dataclass(frozen=True)
class Differences:
    """Changes of the probes of all targets, at `distances` up and down from a start. `losses`, `below`: as in `_Start`."""

    losses: FloatArray
    below: NDArray[np.bool_]
    distances: tuple[float, ...]
    up: list[dict[ProbeKind, FloatArray]]
    down: list[dict[ProbeKind, FloatArray]]
    finite: bool

    def derivatives(self, probe_kind: ProbeKind, noise: float) -> list[noises.Derivatives]:
        """Derivatives of the probe of each target."""
        up, down = (np.array([c[probe_kind] for c in changes]).T for changes in (self.up, self.down))
        return [noises.derivatives(0.0, u, d, self.distances, noise) for u, d in zip(up, down, strict=True)]


def agreements_of(differences: Sequence[Differences], distances: Sequence[float]) -> tuple[Agreement, ...]:
    below = np.concatenate([d.below for d in differences])
    # near and far targets count alike: the derivative of a square grows with its root
    weight = np.concatenate([np.sqrt(d.losses) for d in differences])
    made = []
    for n, step in enumerate(distances):
        predicted, true = (weight * np.concatenate([d.up[n][k] - d.down[n][k] for d in differences]) for k in _KINDS)
        length = float(np.linalg.norm(predicted) * np.linalg.norm(true))
        linear = float(predicted @ true) / length if length > 0 else None
        # a target below: the loss grows upward; where nothing changes, the direction is chance
        right = [float(np.mean((np.sign(change) * np.where(below, 1, -1) + 1) / 2)) for change in (predicted, true)]
        made.append(Agreement(float(step), linear, *right))
    return tuple(made)


def starts_on(line: Line, sweep: Sweep, parts: Sequence[float]) -> list[_Start]:
    """At these parts of the values that sound."""
    sounding = np.flatnonzero(sweep.finite & ~sweep.silent)
    if len(sounding) < 2:
        return []
    places = sorted({int(sounding[round(part * (len(sounding) - 1))]) for part in parts})
    y, _ = line.render(sweep.values[places])
    starts = [_Start(line.ears, sweep, place, audio) for place, audio in zip(places, y, strict=True)]
    return [start for start in starts if len(start.below)]


def noise_of(line: Line, starts: Sequence[_Start], probe_kind: ProbeKind, spacings: int) -> float | None:
    """ECnoise at all starts, with the spacing that suits most of them; None if none of so many spacings finds it."""
    spacing, tried, levels = _SPACING, set[float](), list[float]()
    while starts and len(tried) < spacings and _NEAREST <= spacing <= _FURTHEST and spacing not in tried:
        tried.add(spacing)
        values = np.concatenate([start.value + spacing * np.arange(noises.POINTS) for start in starts])
        y, finite = line.render(values)
        if not finite.all():
            break
        verdicts = []
        for start, sounds in zip(starts, np.split(y, len(starts)), strict=True):
            changes = np.array([start.changes(audio, np.complex128)[probe_kind] for audio in sounds])  # [POINTS, targets]
            verdicts += [noises.ecnoise(of_one, scale=1.0) for of_one in changes.T]
        levels = [v.level for v in verdicts if v.verdict == "found"] or levels
        far, near = (sum(v.verdict == which for v in verdicts) for which in ("too far", "too near"))
        if 2 * (far + near) <= len(verdicts):
            break
        spacing = spacing / 10.0 if far > near else spacing * 10.0
    return float(np.median(levels)) if levels else None
