"""How far each setting could be off without being heard, measured by renders around the settings that were found.

*Heard* is a change of the sound, as the loss of the match measures it, that is larger than the threshold: what one octave of the
spectrum makes that is 1 dB louder, on average over the octaves. About 1 dB is the least change of level that people notice
(W. Jesteadt, C. C. Wier and D. M. Green, "Intensity discrimination as a function of frequency and sensation level", J. Acoust. Soc.
Am. 61(1), 1977, doi:10.1121/1.381278). A change of the whole sound by 1 dB is some eight thresholds: timbre is heard sooner than
loudness, and a setting that moves one band counts as much as one that moves all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.matching.objective import Objective
from blackbox_grad.matching.trades import Trade, find_trades, renders_of_trades
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: dB of an octave that are the threshold.
JUST_HEARD = 1.0

#: Hz of the lowest octave; one with less than this part of the sound's energy does not count.
_LOWEST, _SILENT = 31.25, 1e-6

#: Values at which each continuous parameter is rendered first, beside the one found.
_SCAN = np.linspace(0.0, 1.0, 5)

#: Rounds that narrow both ends of each parameter, at least and at most.
_ROUNDS = (2, 5)

#: Parameters with so many levels, or fewer, have each of them tried.
_LEVELS = 9

#: A trade is worth telling if settings go this many times as far as alone.
_FARTHER = 1.5

#: Of all renders that are allowed, the part for this.
_SHARE = 6


@dataclass(frozen=True)
class Range:
    """What one setting could be, with the others as they were found.

    Attributes:
        name: of the parameter.
        low, high: normalised. Both ends were rendered, and are not told apart from the setting that was found.
        low_heard, high_heard: the nearest value beyond that was rendered and is heard; None at the end of the parameter's range.
        levels: of a parameter with few levels: normalised values of the others that are not told apart from it.
        trades: the parameters that can make up for it.
        low_traded, high_traded: how far it could be off together with these. Rendered, too.
    """

    name: str
    low: float
    high: float
    low_heard: float | None = None
    high_heard: float | None = None
    levels: tuple[float, ...] = ()
    trades: tuple[str, ...] = ()
    low_traded: float | None = None
    high_traded: float | None = None

    @property
    def audible(self) -> bool:
        """Whether any other value that was rendered is heard."""
        return self.low_heard is not None or self.high_heard is not None


@dataclass(frozen=True)
class Sureness:
    """How sure a match is of its settings.

    Attributes:
        threshold: the change of the loss's features that is just heard.
        residual: the distance between the match and the target, in thresholds. Above 1, the match itself is told from the target,
            and the settings behind the target may lie outside the ranges.
        ranges: one for each free parameter.
        trades: groups of settings that make up for each other.
        renders: what it has cost.
    """

    threshold: float
    residual: float
    ranges: tuple[Range, ...]
    trades: tuple[Trade, ...]
    renders: int

    def to_json(self, space: ParameterSpace) -> dict[str, Any]:
        """With native texts, ready for `json.dumps`."""

        def native(name: str, value: float | None) -> str | None:
            return None if value is None else space[space.names.index(name)].text(value)

        return {
            "threshold": self.threshold,
            "residual": self.residual,
            "renders": self.renders,
            "parameters": [
                {
                    "name": r.name,
                    "audible": r.audible,
                    "normalised": [r.low, r.high],
                    "native": [native(r.name, r.low), native(r.name, r.high)],
                    "heard": [native(r.name, r.low_heard), native(r.name, r.high_heard)],
                    "levels": [native(r.name, value) for value in r.levels],
                    "trades": list(r.trades),
                    "traded": [native(r.name, r.low_traded), native(r.name, r.high_traded)],
                }
                for r in self.ranges
            ],
            "trades": [{"names": list(t.names), "weakness": t.weakness} for t in self.trades],
        }


def renders_for(space: ParameterSpace, limit: int) -> int:
    """Renders to keep for `sureness`: 15 a parameter and some for trades, and at most a sixth of all; none if too few."""
    parameters = len(space)
    enough = len(_SCAN) * parameters + 2 * _ROUNDS[1] * parameters + renders_of_trades(parameters) + 2
    kept = min(enough, limit // _SHARE)
    _, moving, narrowing = _split(space, kept)
    return kept if parameters and narrowing >= 2 * _ROUNDS[0] * len(moving) else 0


def _split(space: ParameterSpace, limit: int) -> tuple[list[int], list[int], int]:
    """Parameters with few levels, the others, and the renders that are left to narrow the ends of these."""
    several = [i for i, p in enumerate(space) if p.levels is not None and p.levels <= _LEVELS]
    moving = [i for i in range(len(space)) if i not in several]
    levels = sum((space[i].levels or 1) - 1 for i in several)
    return several, moving, limit - 2 - levels - len(_SCAN) * len(moving)


def sureness(objective: Objective, limit: int) -> Sureness | None:
    """Measure it around the best settings of `objective`, which stay the best; None if the renders do not suffice.

    Args:
        limit: renders to spend.
    """
    space, before = objective.space, objective.renders
    point, loss = objective.best_point, objective.best_loss
    several, moving, narrowing = _split(space, limit)
    for_trades = min(renders_of_trades(len(moving)), narrowing // 2)
    rounds = min(_ROUNDS[1], max(_ROUNDS[0], (narrowing - for_trades) // max(1, 2 * len(moving))))
    if not len(space) or narrowing < 2 * _ROUNDS[0] * len(moving):
        return None
    ears = _Ears(objective, point)
    ranges = {i: _of_levels(ears, i) for i in several}
    sides = _narrowed(ears, moving, rounds)
    ranges |= {i: _of_sides(space, point, i, *sides[i]) for i in moving}
    left = limit - (objective.renders - before)
    steps = {i: step for i in moving if (step := _step(*sides[i])) is not None}
    trades = find_trades(ears.distances, space, point, steps, ears.threshold, left)
    trades = [kept for trade in trades if (kept := _telling(trade, ranges, space)) is not None]
    objective.settle(point, loss)
    found = tuple(_traded(ranges[i], space, trades) for i in range(len(space)))
    return Sureness(ears.threshold, loss / ears.threshold, found, tuple(trades), objective.renders - before)


class _Ears:
    """How far settings `[N, P]` are from those found: the distances `[N]`, and the changes of the residuals, `N` times `[R]`."""

    def __init__(self, objective: Objective, point: FloatArray) -> None:
        self._objective, self.point = objective, point
        sound = objective.sounds(point[None])[0][0, :, objective.lead :]
        with torch.no_grad():
            self._here, *changed = (
                objective.loss.residuals(y[None])[0] for y in (sound, *_just_heard(sound, objective.sample_rate))
            )
        _, (again,) = objective.evaluate(point[None])  # where equal renders differ, less is heard
        noise = float((again - self._here).abs().sum())
        just_heard = float(np.mean([float((r - self._here).abs().sum()) for r in changed]))
        self.threshold = max(just_heard, 2.0 * noise, 1e-12)

    def distances(self, points: FloatArray) -> tuple[FloatArray, list[Tensor]]:
        losses, residuals = self._objective.evaluate(points) if len(points) else (np.empty(0), [])
        changes = [residual - self._here for residual in residuals]
        apart = np.array([float(change.abs().sum()) for change in changes])
        return np.where(np.isfinite(losses) & np.isfinite(apart), apart, np.inf), changes


def _just_heard(sound: Tensor, sample_rate: float) -> list[Tensor]:
    """`[C, T]` with one octave 1 dB louder, for each octave in which there is sound; if there is none, all of it louder."""
    spectrum = torch.fft.rfft(sound.double())
    frequencies = torch.fft.rfftfreq(sound.shape[-1], 1.0 / sample_rate, dtype=torch.float64)
    energy = spectrum.abs().square()
    gain, made = 10.0 ** (JUST_HEARD / 20.0), []
    for octave in range(int(np.log2(max(2.0, sample_rate / 2.0 / _LOWEST)))):
        inside = (frequencies >= _LOWEST * 2.0**octave) & (frequencies < _LOWEST * 2.0 ** (octave + 1))
        if float(energy[:, inside].sum()) > _SILENT * float(energy.sum()):
            louder = torch.where(inside, gain * spectrum, spectrum)
            made.append(torch.fft.irfft(louder, n=sound.shape[-1]).to(sound))
    return made or [gain * sound]


@dataclass
class _Side:
    """One direction of one parameter: offsets that were rendered.

    Attributes:
        direction: 1 or -1.
        edge: the offset at the end of the range.
        unheard, heard: the farthest that is not heard, and the nearest beyond that is; infinite if none is.
        close: the render nearest to the threshold: its offset, its distance and the change of its residuals.
    """

    direction: float
    edge: float
    unheard: float = 0.0
    heard: float = np.inf
    distance_unheard: float = 0.0
    distance_heard: float = np.inf
    close: tuple[float, float, Tensor] | None = field(default=None, repr=False)

    def next(self, threshold: float, step: float) -> float | None:
        """The offset to try next; None where nothing is to be learnt."""
        if not np.isfinite(self.heard) or self.heard - self.unheard <= max(1e-4, step):
            return None
        part = (threshold - self.distance_unheard) / max(self.distance_heard - self.distance_unheard, 1e-30)
        lowest = 1e-3 if self.unheard == 0.0 else 0.1
        return self.unheard + float(np.clip(0.95 * part, lowest, 0.9)) * (self.heard - self.unheard)

    def note(self, offset: float, distance: float, change: Tensor, threshold: float) -> None:
        if distance <= threshold:
            if self.unheard < offset < self.heard:
                self.unheard, self.distance_unheard = offset, distance
        elif offset < self.heard:
            self.heard, self.distance_heard = offset, distance
            if self.unheard > offset:  # heard before it is not: a value that comes again
                self.unheard = self.distance_unheard = 0.0
        if offset > 0.0 and np.isfinite(distance) and distance > 0.0:
            nearness = abs(np.log(distance / threshold))
            if self.close is None or nearness < abs(np.log(self.close[1] / threshold)):
                self.close = (offset, distance, change)


def _narrowed(ears: _Ears, moving: Sequence[int], rounds: int) -> dict[int, tuple[_Side, _Side]]:
    """Both sides of each parameter, after a scan of its range and rounds between what is heard and what is not."""
    point = ears.point
    sides = {i: (_Side(-1.0, float(point[i])), _Side(1.0, float(1.0 - point[i]))) for i in moving}
    scan = [
        (i, side, abs(value - point[i])) for i in moving for value in _SCAN for side in sides[i] if _on(side, value, point[i])
    ]
    _try(ears, sorted(scan, key=lambda trial: trial[2]))
    for _ in range(rounds):
        trials = []
        for i in moving:
            for side in sides[i]:
                step = float(ears._objective.space.steps[i])
                if (offset := side.next(ears.threshold, step)) is not None:
                    trials.append((i, side, min(offset, side.edge)))
        _try(ears, trials)
    return sides


def _on(side: _Side, value: float, here: float) -> bool:
    return (value - here) * side.direction > 1e-9


def _try(ears: _Ears, trials: Sequence[tuple[int, _Side, float]]) -> None:
    space = ears._objective.space
    points = np.tile(ears.point, (len(trials), 1))
    for row, (i, side, offset) in zip(points, trials, strict=True):
        row[i] = np.clip(row[i] + side.direction * offset, 0.0, 1.0)
    points = space.snap(points)
    distances, changes = ears.distances(points)
    for (i, side, _), row, distance, change in zip(trials, points, distances, changes, strict=True):
        side.note(abs(float(row[i] - ears.point[i])), float(distance), change, ears.threshold)


def _of_sides(space: ParameterSpace, point: FloatArray, i: int, below: _Side, above: _Side) -> Range:
    def beyond(side: _Side) -> float | None:
        return float(np.clip(point[i] + side.direction * side.heard, 0.0, 1.0)) if np.isfinite(side.heard) else None

    low, high = float(point[i] - below.unheard), float(point[i] + above.unheard)
    return Range(space[i].name, max(low, 0.0), min(high, 1.0), beyond(below), beyond(above))


def _of_levels(ears: _Ears, i: int) -> Range:
    parameter, here = ears._objective.space[i], float(ears.point[i])
    values = [v for v in np.linspace(0.0, 1.0, parameter.levels or 1).tolist() if abs(v - here) > 1e-9]
    points = np.tile(ears.point, (len(values), 1))
    points[:, i] = values
    distances, _ = ears.distances(points)
    alike = tuple(v for v, d in zip(values, distances, strict=True) if d <= ears.threshold)
    other = [v for v in values if v not in alike]
    below, above = max((v for v in other if v < here), default=None), min((v for v in other if v > here), default=None)
    return Range(parameter.name, here, here, below, above, alike)


def _step(below: _Side, above: _Side) -> tuple[float, Tensor] | None:
    """A signed move that is just heard, and the change of the residuals; None if the parameter is not heard."""
    known = [(side.direction * side.close[0], *side.close[1:]) for side in (below, above) if side.close is not None]
    if not known or not (np.isfinite(below.heard) or np.isfinite(above.heard)):
        return None
    offset, _, change = max(known, key=lambda move: abs(move[0]))
    return float(offset), change


def _telling(trade: Trade, ranges: Mapping[int, Range], space: ParameterSpace) -> Trade | None:
    """The trade of the settings that go much farther in it than alone; None if there are not two."""
    names = []
    for name in trade.names:
        alone = ranges[i := space.names.index(name)]
        if np.ptp(trade.points[:, i]) >= _FARTHER * (alone.high - alone.low):
            names.append(name)
    return replace(trade, names=tuple(names)) if len(names) > 1 else None


def _traded(found: Range, space: ParameterSpace, trades: Sequence[Trade]) -> Range:
    """With the trades in which it takes part."""
    mine = [trade for trade in trades if found.name in trade.names]
    if not mine:
        return found
    values = np.concatenate([trade.points[:, space.names.index(found.name)] for trade in mine])
    others = tuple(dict.fromkeys(name for trade in mine for name in trade.names if name != found.name))
    ends = min(found.low, float(values.min())), max(found.high, float(values.max()))
    return replace(found, trades=others, low_traded=ends[0], high_traded=ends[1])
