"""Renders of the test signals through one effect, counted and limited."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.effects.tunes import accompanied, tune
from blackbox_grad.errors import AudioError
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.inspection.listening import SECONDS, signals
from blackbox_grad.inspection.results import Stopped
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: The most renders per batch, and seconds that a batch should take. The clock is read between batches.
_CHUNK, _SECONDS = 24, 4.0

#: Lowest note and velocity of the signals of an instrument.
_TUNES = ((45, 100), (57, 60))


@dataclass(frozen=True)
class InspectionProgress:
    """How far an inspection is: `done` of 1, what it measures now, renders and seconds so far, and their limits."""

    done: float
    what: str
    renders: int
    seconds: float
    render_limit: int
    time_limit: float


class LimitMet(Exception):
    """No more renders are allowed."""

    def __init__(self, which: Stopped) -> None:
        self.which = which


class Renders:
    """The effect under inspection, and its test signals.

    Attributes:
        signals: `[S, C, T]`; of an instrument notes.
        references: `[S, C, T]`: what the outputs are compared with in level: the signals; for an instrument what it plays at the
            defaults.
        opened: when the effect was open, seconds since the beginning.
        Points are `[K, P]`; the audio rendered at them is `[K, S, C, T]`.
    """

    def __init__(
        self,
        spec: EffectSpec,
        host: Host,
        alone: Host,
        time_limit: float,
        render_limit: int,
        on_progress: Callable[[InspectionProgress], None],
    ) -> None:
        self.started = time.monotonic()
        self.spec, self.host, self.alone = spec, host, alone
        self.time_limit, self.render_limit = time_limit, render_limit
        self.made, self._batch = 0, _CHUNK
        self._on_progress, self._done, self._what = on_progress, 0.0, "opening"
        self.tell()
        self.info: EffectInfo = host.open(spec)
        self.opened = self.seconds
        self.space: ParameterSpace = self.info.parameters
        self.signals, self.note = self._fitting_signals()
        self.references = self.signals
        self._beside = bool(self.info.beside)
        if self._beside:
            self.signals = np.stack([accompanied(signal, spec.sample_rate) for signal in self.signals])
        if self.info.takes == "notes":
            self.references = self(self.space.defaults[None])[0][0]

    def _fitting_signals(self) -> tuple[Audio, str]:
        """Stereo, or mono for an effect that two channels do not fit."""
        if self.info.takes == "notes" and not self.info.beside:
            return np.stack([self._tune(lowest, velocity) for lowest, velocity in _TUNES]), ""
        stereo = signals(self.spec.sample_rate, 2)
        if self.info.takes == "notes":
            return stereo
        try:
            self.host.render_batch(self.spec, stereo[0][:1, :, :64], self.space.defaults[None])
        except AudioError:
            return signals(self.spec.sample_rate, 1)
        return stereo

    def _tune(self, lowest: int, velocity: int) -> Audio:
        rate = self.spec.sample_rate
        return tune(round(SECONDS * rate), 2, rate, velocity, lowest)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def spent(self) -> float:
        """Part of the limits that is used, of time or of renders."""
        return max(self.seconds / self.time_limit, self.made / self.render_limit)

    def tell(self, done: float | None = None, what: str | None = None) -> None:
        """Report the progress."""
        self._done = self._done if done is None else done
        self._what = self._what if what is None else what
        limits = self.render_limit, self.time_limit
        self._on_progress(InspectionProgress(self._done, self._what, self.made, self.seconds, *limits))

    def __call__(
        self, points: FloatArray, which: slice = slice(None), *, in_order: bool = False
    ) -> tuple[Audio, NDArray[np.bool_]]:
        """Render at `points: [K, P]`: audio `[K, S, C, T]`, zero where it is not finite, and which are finite, `[K, S]`.

        Args:
            points: `[K, P]`.
            which: of the signals.
            in_order: one after the other in a single process, so that state left by one render shows in the next.
        """
        audio = self.signals[which]
        host = self.alone if in_order else self.host
        parts, start = [], 0
        while start < len(points):
            rows = max(1, self._batch // len(audio))
            chunk = np.repeat(points[start : start + rows, None], len(audio), axis=1)
            count = chunk.shape[0] * chunk.shape[1]
            self._charge(count)
            began = time.monotonic()
            parts.append(host.render_batch(self.spec, audio, chunk))
            self._batch = int(np.clip(_SECONDS * count / max(time.monotonic() - began, 1e-9), 1, _CHUNK))
            self.tell()
            start += rows
        y, finite = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        y[~finite] = 0.0
        return (y[:, :, :-1] if self._beside else y), finite

    def of(self, spec: EffectSpec, points: FloatArray) -> tuple[Audio, NDArray[np.bool_]]:
        """Render the first signal by another recipe of the effect, at its points `[K, P]`: `[K, C, T]`, and which are finite."""
        self._charge(len(points))
        y, finite = self.host.render_batch(spec, self.signals[:1], points[:, None])
        self.tell()
        return y[:, 0], finite[:, 0]

    def _charge(self, count: int) -> None:
        if self.seconds > self.time_limit:
            raise LimitMet("time")
        if self.made + count > self.render_limit:
            raise LimitMet("renders")
        self.made += count
