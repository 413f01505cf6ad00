"""Whether the controls of an effect can be heard: a few renders of noise, limited in number and in processor time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.protocols import Beside, Takes
from blackbox_grad.effects.repeatability import relative_error
from blackbox_grad.effects.tunes import accompanied, tune
from blackbox_grad.parameters.parameter import FloatArray, Parameter
from blackbox_grad.parameters.space import ParameterSpace

#: `audio: [C, T]`, all values of the effect `[F]` -> `[C, T]`.
Render: TypeAlias = Callable[[Audio, FloatArray], Audio]

#: The most renders, beside the limit of time.
_RENDERS = 2000

#: A render of so few samples shows whether the effect is quick enough for a look: it must take less than this, in seconds.
_FEW, _QUICK = 512, 0.15

#: Samples of the short signal. Echoes and slow envelopes need the long one, in seconds.
_SHORT, _LONG = 8192, 1.5

#: Hz. The tone glides an octave up from here.
_LOW = 110.0

#: A change counts from this relative error on (-120 dB), and from four times what equal renders differ by.
_FAINT, _ABOVE_NOISE = 1e-6, 4.0

#: Up to this many parameters are tried one by one, more in groups of eight.
_FEW_PARAMETERS, _GROUP, _ALL = 24, 8, 1 << 30


class Spent(BaseException):
    """The time is over. It is no `Exception`: those come from the effect."""


class Ears:
    """Renders of one effect, with a limit, and whether they differ."""

    def __init__(
        self,
        render: Render,
        space: ParameterSpace,
        sample_rate: float,
        channels: int,
        repeatability: float,
        takes: Takes = "audio",
        beside: Beside = "",
    ) -> None:
        self._render, self.space = render, space
        self.noise = repeatability
        signal = tune if takes == "notes" and not beside else _signal
        signals = (signal(n, channels, sample_rate) for n in (_FEW, _SHORT, round(_LONG * sample_rate)))
        self.few, self.short, self.long = (accompanied(s, sample_rate) if beside else s for s in signals)
        self._renders = 0
        self._until = 0.0
        #: Parameters at which a render failed.
        self.failed: set[int] = set()

    def allow(self, seconds: float) -> None:
        """Begin to count anew."""
        self._renders, self._until = 0, time.thread_time() + seconds

    def quick(self) -> bool:
        """Whether the effect is quick enough for a look."""
        began = time.thread_time()
        self(self.few, self.space.complete(self.space.defaults))
        return time.thread_time() - began < _QUICK

    def __call__(self, audio: Audio, values: FloatArray) -> Audio:
        if self._renders >= _RENDERS or time.thread_time() > self._until:
            raise Spent
        self._renders += 1
        return self._render(audio, values)

    @property
    def tolerance(self) -> float:
        return max(_FAINT, _ABOVE_NOISE * self.noise)

    def heard(
        self, indices: Sequence[int], base: FloatArray, audio: Audio, group: int = _ALL, ways: Sequence[int] = (0, 1)
    ) -> set[int]:
        """Those of these controls that change the output around `base: [F]`: group by group, and halves of what changes it."""
        expected = self(audio, base)
        checked = False

        def differs(values: FloatArray) -> bool:
            nonlocal checked
            change = relative_error(expected, self(audio, values))
            if change > self.tolerance and not checked:  # is it more than what this render leaves behind?
                checked = True
                self.noise = max(self.noise, relative_error(expected, self(audio, base)))
            return change > self.tolerance

        def among(some: Sequence[int]) -> Iterator[int]:
            try:
                if not any(differs(self._moved(base, some, way)) for way in ways):
                    return
            except Exception:  # a setting that the effect refuses
                if len(some) == 1:
                    self.failed.add(some[0])
                    return
            if len(some) == 1:
                yield some[0]
                return
            middle = len(some) // 2
            yield from among(some[:middle])
            yield from among(some[middle:])

        return {i for start in range(0, len(indices), group) for i in among(indices[start : start + group])}

    def differs_at(self, base: FloatArray, indices: Sequence[int], audio: Audio) -> bool:
        """Whether moving all these controls at once changes the output."""
        change = relative_error(self(audio, base), self(audio, self._moved(base, indices, 0)))
        return change > self.tolerance

    def _moved(self, base: FloatArray, indices: Sequence[int], way: int) -> FloatArray:
        """`base` with these controls far away; in another way, to a value between."""
        values = base.copy()
        for i in indices:
            values[i] = elsewhere(self.space.everything[i], base[i], way)
        return values


def elsewhere(parameter: Parameter, value: float, way: int) -> float:
    """Not into the corners of a continuous parameter: there, plug-ins fail."""
    if parameter.levels is None:
        return (0.1 if value > 0.5 else 0.9) if way == 0 else (0.37 if abs(value - 0.37) > 0.15 else 0.63)
    if way == 0:
        return 0.0 if value > 0.5 else 1.0
    return value + parameter.step if value + parameter.step <= 1.0 else value - parameter.step


def _signal(count: int, channels: int, sample_rate: float) -> Audio:
    """A burst of noise, a gliding tone, and a quieter burst, each followed by almost nothing.

    Gates close in the gaps, echoes stand alone, and tuners have something to tune.
    """
    at, rng = np.arange(count), np.random.default_rng(0)
    noise = rng.standard_normal((channels, count))
    glide = np.cumsum(_LOW * 2.0 ** (at / count)) / sample_rate
    phases = np.arange(1, 9)[:, None] * 2 * np.pi * glide
    tone = (np.sin(phases) / np.arange(1, 9)[:, None]).sum(0) * (1 + 0.1 * noise)
    signal = np.zeros((channels, count))
    for start, level, length, sound in ((0.0, 0.5, 0.04, noise), (0.2, 0.3, 0.0, tone), (0.75, 0.1, 0.04, noise)):
        since = at - start * count
        decay = np.exp(-np.maximum(since, 0) / (length * count)) if length else since < 0.4 * count
        signal += np.where(since >= 0, level * decay, 0.0) * sound
    return signal.astype(np.float32)


def settings_to_try(ears: Ears, free: Sequence[int]) -> Iterator[tuple[FloatArray, Audio, int]]:
    """Where parameters are tried, with which signal, and in groups of how many: the cheap and telling ones first."""
    space, rng = ears.space, np.random.default_rng(1)
    defaults = space.complete(space.defaults)

    def drawn(low: float, high: float, stepped: Callable[[int], float]) -> FloatArray:
        values = defaults.copy()
        for i in free:
            values[i] = rng.uniform(low, high) if space.everything[i].levels is None else stepped(i)
        return values

    def switched(i: int) -> float:
        return elsewhere(space.everything[i], float(defaults[i]), 0)

    def anywhere(i: int) -> float:
        return space.everything[i].snap(rng.uniform())

    inner = [drawn(0.3, 0.7, lambda i: float(defaults[i]))]
    if any(space.everything[i].levels is not None for i in free):
        inner.append(drawn(0.25, 0.75, switched))
    outer = [drawn(0.1, 0.9, anywhere) for _ in range(3)]
    yield defaults, ears.short, 1 if len(free) <= _FEW_PARAMETERS else _GROUP
    yield from ((base, ears.short, _ALL) for base in [*inner, *outer])
    yield from ((base, ears.long, _ALL) for base in [*inner, *outer[:2]])
