"""Effects rendered in this process: for the reference effects and for debugging."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo, SelectedEffect
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.hosts.answering import answered
from blackbox_grad.hosts.limits import check_memory, errors_of, limits_named
from blackbox_grad.hosts.opened import OpenedEffects
from blackbox_grad.hosts.rendering import check_batch, check_bounds, ignore_overflow, probe_segments, probe_value, render_into
from blackbox_grad.parameters.parameter import FloatArray


class InProcessHost:
    """Renders on the caller's thread, one item after another.

    A plug-in may refuse threads other than the one that opened it, or freeze there. Training on a GPU calls from such a
    thread, so use `ProcessPool` for plug-ins.
    """

    def __init__(self) -> None:
        self.renders = 0
        self.nonfinite = 0
        self._effects = OpenedEffects()
        self._lock = threading.RLock()

    def _get(self, spec: EffectSpec) -> SelectedEffect:
        return self._effects.get(spec.key, spec)

    def open(self, spec: EffectSpec) -> EffectInfo:
        with self._lock:
            return EffectInfo.of(self._get(spec))

    def ask(self, spec: EffectSpec, question: str, arguments: tuple[Any, ...] = ()) -> Any:
        with self._lock:
            return answered(self._get(spec), question, arguments)

    def share(self, audio: Audio) -> Audio:
        return audio

    def render_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray) -> tuple[Audio, NDArray[np.bool_]]:
        with self._lock, ignore_overflow():
            effect = self._get(spec)
            check_batch(effect, audio, points)
            shape = (*points.shape[:-1], *audio.shape[1:])
            with errors_of(spec), limits_named("hold the renders"):
                check_memory(4 * math.prod(shape), "this call")
                output = np.empty(shape, dtype=np.float32)
            flags = np.empty(points.shape[:-1])
            values = effect.parameters.complete_all(points)
            for index in np.ndindex(flags.shape):
                with _named(effect, index[-1], points[index]):
                    flags[index] = render_into(effect, audio[index[-1]], values[index], output[index])
        finite = np.isfinite(flags)
        self._count(finite)
        return output, finite

    def probe_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray, cotangent: Audio) -> FloatArray:
        with self._lock, ignore_overflow():
            effect = self._get(spec)
            check_batch(effect, audio, points, cotangent)
            products = np.empty(points.shape[:-1])
            values = effect.parameters.complete_all(points)
            for index in np.ndindex(products.shape):
                item = index[-1]
                with _named(effect, item, points[index]):
                    products[index] = probe_value(effect, audio[item], values[index], cotangent[item])
        self._count(np.isfinite(products))
        return products

    def probe_segments(
        self, spec: EffectSpec, audio: Audio, points: FloatArray, cotangent: Audio, bounds: NDArray[np.int64]
    ) -> FloatArray:
        with self._lock, ignore_overflow():
            effect = self._get(spec)
            check_batch(effect, audio, points, cotangent)
            check_bounds(effect, bounds, audio.shape[-1])
            products = np.empty((*points.shape[:-1], len(bounds) - 1))
            values = effect.parameters.complete_all(points)
            for index in np.ndindex(products.shape[:-1]):
                item = index[-1]
                with _named(effect, item, points[index]):
                    probe_segments(effect, audio[item], values[index], cotangent[item], bounds, products[index])
        self._count(np.isfinite(products.sum(axis=-1)))
        return products

    def _count(self, finite: NDArray[np.bool_]) -> None:
        with self._lock:
            self.renders += finite.size
            self.nonfinite += int(finite.size - finite.sum())

    def close(self) -> None:
        with self._lock:
            self._effects.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return InProcessHost, ()


@contextlib.contextmanager
def _named(effect: SelectedEffect, item: int, point: FloatArray) -> Iterator[None]:
    """Say in an error which item of the batch it is about."""
    try:
        yield
    except BlackboxGradError as error:
        raise type(error)(f"{error} ({effect.parameters.describe(point, item)})") from error
