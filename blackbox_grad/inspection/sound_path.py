"""How much of some settings, measured in the sound: from neutral settings to these, and past them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.packing import is_packed, parted
from blackbox_grad.effects.repeatability import REPEATABLE
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.inspection.excerpt import excerpt
from blackbox_grad.inspection.listening import SILENCE, Ear, signals, spectrum
from blackbox_grad.parameters.amount import MOST, check_amount, straight
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: Places that are rendered first: the neutral settings at 0, the others at 1, and half as far past them.
_FIRST = np.concatenate([np.linspace(0.0, 1.0, 7), np.linspace(1.0, MOST, 4)[1:]])

#: Then, so many rounds of so many places more, where the sound moves most.
_ROUNDS, _MORE = 3, 5

#: Renders of each place, where equal renders differ.
_AVERAGED = 4

#: dB. Nothing is heard of settings that are not further than this from neutral.
_HEARD = 0.01


class SoundPath:
    """The straight line from neutral settings to others, with its places told by the sound.

    The distance between two sounds is the root-mean-square difference of their log spectra, dB. At the amount `a`, the sound is `a`
    times as far from the neutral one as at the settings themselves: at the first place on the way to them where this is so, past
    them for `a` above 1. Past them, the settings move on by half of their way at most; if the sound does not get so far, it is the
    place where it gets furthest. A sound that jumps on the way has no place for the amounts between.

    It is measured with 25 renders of at most 4 s, once, when an amount other than 0 and 1 is asked for. Settings that sound as the
    neutral ones, or whose sound is not finite, have no such distance; the amount is then the place on the line.

    Args:
        host: where to render.
        info: the opened effect.
        neutral, point: `[P]`, normalised.
        sound: `[C, T]`: audio or packed notes. Silent audio is replaced by a recording.
        finish: what becomes of a render `[C, T]` before it is heard.

    Attributes:
        neutral, point: as they were given, on their steps.
    """

    def __init__(
        self,
        host: Host,
        info: EffectInfo,
        neutral: ArrayLike,
        point: ArrayLike,
        sound: Audio,
        finish: Callable[[Audio], Audio] | None = None,
    ) -> None:
        self._host, self._info, self._sound, self._finish = host, info, sound, finish or (lambda y: y)
        self.neutral, self.point = (self._space.snap(self._space.check(p)) for p in (neutral, point))

    @property
    def _space(self) -> ParameterSpace:
        return self._info.parameters

    def at(self, amount: float) -> FloatArray:
        """`[P]`: the neutral settings at 0 and the others at 1, both to the bit and without a render.

        Raises:
            ParameterError: the amount is not from 0 to 1.5.
        """
        check_amount(amount)
        if amount in (0.0, 1.0):
            return (self.neutral, self.point)[int(amount)]
        return straight(self._space, self.neutral, self.point, self._measured.place(amount))

    @cached_property
    def _measured(self) -> _Distances:
        sound = excerpt(self._sound, self._info.sample_rate)
        if not is_packed(sound) and np.abs(parted(sound)[0]).max(initial=0.0) < SILENCE and parted(sound)[1] is None:
            sound = np.repeat(signals(self._info.sample_rate, 1)[0][0], len(sound), axis=0)
        measured = _Distances(self._heard(sound))
        measured.add(_FIRST)
        for _ in range(_ROUNDS if measured.whole > _HEARD else 0):
            measured.add(measured.between(_MORE))
        return measured

    def _heard(self, sound: Audio) -> Callable[[FloatArray], FloatArray]:
        """Distances from the first place that is asked for, at places `[N]` on the line; infinite where a render is."""
        audio, _ = parted(sound)
        times = _AVERAGED if self._info.repeatability > REPEATABLE else 1
        ear = None if is_packed(audio) or np.abs(audio).max(initial=0.0) < SILENCE else Ear(audio)
        start: FloatArray | None = None

        def heard(places: FloatArray) -> FloatArray:
            nonlocal ear, start
            points = np.array([straight(self._space, self.neutral, self.point, place) for place in places])
            y, finite = self._host.render_batch(self._info.spec, sound[None], np.repeat(points, times, axis=0)[:, None])
            sounds = [self._finish(one[: len(audio)]) if ok else None for one, ok in zip(y[:, 0], finite[:, 0], strict=True)]
            if ear is None:
                ear = Ear(np.concatenate([one for one in sounds if one is not None] or [audio * 0.0], axis=1))
            found = []
            for i in range(0, len(sounds), times):
                same = [ear.decibels(spectrum(one)) for one in sounds[i : i + times] if one is not None]
                level = np.mean(same, axis=0) if same else np.array(np.inf)
                start = level if start is None else start
                found.append(np.sqrt(np.mean((level - start) ** 2)))
            return np.array(found)

        return heard


class _Distances:
    """Distances from the neutral sound at some places.

    Args:
        heard: places `[N]` -> distances `[N]`, of which the first is that of place 0 from itself.

    Attributes:
        places: `[N]`, in ascending order.
        distances: `[N]`, dB.
    """

    def __init__(self, heard: Callable[[FloatArray], FloatArray]) -> None:
        self._heard = heard
        self.places, self.distances = np.empty(0), np.empty(0)

    @property
    def whole(self) -> float:
        """The distance at the settings, dB; 0 if it is not known."""
        found = self.distances[self.places == 1.0]
        return float(found[0]) if len(found) else 0.0

    def add(self, places: FloatArray) -> None:
        """Render there. What is not finite is left out."""
        if not len(places):
            return
        with np.errstate(invalid="ignore", divide="ignore"):
            found = self._heard(places)
        places = np.concatenate([self.places, places[np.isfinite(found)]])
        order = np.argsort(places)
        self.places, self.distances = places[order], np.concatenate([self.distances, found[np.isfinite(found)]])[order]

    def between(self, count: int) -> FloatArray:
        """So many more places: where amounts lie between two places, and most of them."""
        reached = np.minimum(self._reached(), MOST * self.whole)
        rises, pieces = np.diff(reached), np.ones(len(reached) - 1, dtype=int)
        for _ in range(count):
            pieces[np.argmax(rises / pieces)] += 1
        ends = zip(self.places[:-1], self.places[1:], pieces, strict=True)
        return np.concatenate([np.linspace(a, b, n + 1)[1:-1] for a, b, n in ends])

    def place(self, amount: float) -> float:
        """The first place with this part of the whole distance; for more than the whole, the first after 1."""
        if self.whole <= _HEARD:
            return amount
        level = amount * self.whole
        reached = self._reached()
        begin = int(np.argmax(self.places == 1.0)) if amount > 1.0 else 0
        last = begin + int(np.argmax(self.distances[begin:]))
        after = begin + int(np.argmax(reached[begin:] >= level))
        if reached[-1] < level:
            return float(self.places[last])
        before = after - 1
        share = (level - self.distances[before]) / (self.distances[after] - self.distances[before])
        return float(self.places[before] + share * (self.places[after] - self.places[before]))

    def _reached(self) -> FloatArray:
        """The furthest up to each place on the way to 1, where it is the whole at most, and on the way past it."""
        way = self.places <= 1.0
        to, past = np.minimum(self.distances[way], self.whole), np.maximum(self.distances[~way], self.whole)
        return np.concatenate([np.maximum.accumulate(to), np.maximum.accumulate(past)])
