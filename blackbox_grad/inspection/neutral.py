"""The neutral settings of an effect: those at which it does nothing, or least, near settings that somebody likes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.errors import AudioError
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.inspection.listening import Ear, signals, spectrum
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

Found: TypeAlias = Literal["nothing", "least", "defaults"]

#: dB of spectral distance between the input and what leaves the effect, below which it does nothing.
NOTHING = 0.5

#: A setting moves if this part of the distance, or less, is left.
_HELPS = 0.9

#: Settings count as neutral if this part of the distance at the liked ones, or less, is left.
_NEUTRAL = 0.5

#: Settings that move, at most, and renders of each signal.
_MOVES, _RENDERS = 4, 600

#: Values of a parameter that are tried, beside its default and its native zero.
_GRID = np.linspace(0.0, 1.0, 9)

#: Renders at a time.
_CHUNK = 16


@dataclass(frozen=True)
class Neutral:
    """Settings at which an effect does nothing, or least.

    Attributes:
        point: `[P]`: the neutral settings. Parameters that need not move are as they were.
        kind: "nothing": the sound is the input's; "least": it is much nearer to the input than at the settings given; "defaults":
            nothing of this kind was found, or it is an instrument, and these are the defaults.
        distance: dB: root-mean-square difference of the log spectra of output and input, at `point`; NaN for an
            instrument, which has no input.
        distance_before: the same at the settings given.
        moved: names of the parameters that moved.
    """

    point: FloatArray
    kind: Found
    distance: float
    distance_before: float
    moved: tuple[str, ...]


def find_neutral(host: Host, info: EffectInfo, point: ArrayLike) -> Neutral:
    """Move as few settings as suffice for the effect to leave its input alone: a mix to 0, a gain to 0 dB, a cutoff to its end.

    Single parameters are tried along their whole range, the one that helps most is moved, and the next is tried; switches only
    where no continuous parameter helps. At most 600 renders of two signals of 1.5 s, a recording and bursts of noise.

    Args:
        host: where to render.
        info: the opened effect; its free parameters may move.
        point: `[P]`: the settings from which to start.
    """
    space = info.parameters
    liked = space.snap(space.check(point))
    if info.takes == "notes":
        defaults = space.snap(space.defaults)
        return Neutral(defaults, "defaults", math.nan, math.nan, _moved(space, defaults, liked))
    sound = _Distance(host, info)
    before = float(sound(liked[None])[0])
    here, distance = liked, before
    for _ in range(_MOVES):
        if distance <= NOTHING:
            break
        best, lowest = _best_move(sound, space, here, levels=False)
        if lowest > _HELPS * distance:
            best, lowest = _best_move(sound, space, here, levels=True)
        if lowest > _HELPS * distance:
            break
        here, distance = best, lowest
    defaults = space.snap(space.defaults)
    of_defaults = float(sound(defaults[None])[0])
    if distance > NOTHING and of_defaults < _HELPS * distance:
        here, distance = defaults, of_defaults
    if distance > NOTHING and distance > _NEUTRAL * before:
        return Neutral(defaults, "defaults", of_defaults, before, _moved(space, defaults, liked))
    here, distance = _taken_back(sound, here, distance, liked)
    return Neutral(here, "nothing" if distance <= NOTHING else "least", distance, before, _moved(space, here, liked))


class _Distance:
    """Between what leaves the effect and its input, dB, at settings `[N, P]`; infinite where a render is not finite."""

    def __init__(self, host: Host, info: EffectInfo) -> None:
        self._host, self._spec = host, info.spec
        self._signals, _ = signals(info.sample_rate, 2)
        try:
            host.render_batch(self._spec, self._signals[:1, :, :64], info.parameters.defaults[None])
        except AudioError:
            self._signals, _ = signals(info.sample_rate, 1)
        self._ears = [Ear(dry) for dry in self._signals]
        self._dry = [ear.decibels(spectrum(dry)) for ear, dry in zip(self._ears, self._signals, strict=True)]
        self.left = _RENDERS

    def __call__(self, points: FloatArray) -> FloatArray:
        found = [self._of(points[i : i + _CHUNK]) for i in range(0, len(points), _CHUNK)]
        return np.concatenate(found) if found else np.empty(0)

    def _of(self, points: FloatArray) -> FloatArray:
        self.left -= len(points)
        y, finite = self._host.render_batch(self._spec, self._signals, np.repeat(points[:, None], len(self._signals), axis=1))
        return np.array([self._from_dry(row) if ok.all() else math.inf for row, ok in zip(y, finite, strict=True)])

    def _from_dry(self, sounds: Audio) -> float:
        squares = [
            np.mean((ear.decibels(spectrum(sound)) - dry) ** 2)
            for ear, sound, dry in zip(self._ears, sounds, self._dry, strict=True)
        ]
        return float(np.sqrt(np.mean(squares)))


def _best_move(sound: _Distance, space: ParameterSpace, here: FloatArray, levels: bool) -> tuple[FloatArray, float]:
    """The move of one parameter, of those with levels or of the others, that brings the sound nearest to the input; how near."""
    trials = []
    for i, parameter in enumerate(space):
        if (parameter.levels is not None) == levels:
            values = _GRID if parameter.levels is None else np.linspace(0.0, 1.0, min(parameter.levels, len(_GRID)))
            for value in {*values.tolist(), parameter.default, *_zero(space, i)} - {here[i]}:
                trials.append(here.copy())
                trials[-1][i] = value
    trials = trials[: max(0, sound.left)]
    if not trials:
        return here, math.inf
    points = space.snap(np.array(trials))
    distances = sound(points)
    at = int(distances.argmin())
    return points[at], float(distances[at])


def _zero(space: ParameterSpace, index: int) -> list[float]:
    """The normalised value of 0 dB, 0 ms, 0 Hz …, if it lies in the range."""
    parameter = space[index]
    ends = sorted((parameter.to_native(0.0), parameter.to_native(1.0)))
    return [parameter.to_normalised(0.0)] if parameter.scale != "log" and ends[0] < 0.0 < ends[1] else []


def _taken_back(sound: _Distance, here: FloatArray, distance: float, liked: FloatArray) -> tuple[FloatArray, float]:
    """Without the moves that, in the end, were not needed."""
    for i in np.flatnonzero(here != liked):
        trial = here.copy()
        trial[i] = liked[i]
        without = float(sound(trial[None])[0])
        if without <= max(NOTHING, distance):
            here, distance = trial, without
    return here, distance


def _moved(space: ParameterSpace, here: FloatArray, liked: FloatArray) -> tuple[str, ...]:
    return tuple(parameter.name for parameter, a, b in zip(space, here, liked, strict=True) if a != b)
