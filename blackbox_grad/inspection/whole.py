"""Measurements of an effect as a whole: repeatability, leakage of state, speed, latency, settings without usable sound."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np

from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.repeatability import relative_error
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.effects.tunes import tune
from blackbox_grad.errors import RenderTimeoutError
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.inspection.listening import SILENCE
from blackbox_grad.inspection.renders import Renders
from blackbox_grad.parameters.parameter import FloatArray

#: Seconds that the measurement of speed may take.
PATIENCE = 20.0

#: Random settings that are rendered.
_RANDOM = 32

#: Peak of an output that is far too loud, relative to that of the reference: 60 dB.
LOUD = 1000.0

#: Least cosine of input and output at the best lag for which the lag is the effect's latency, and not one of its echoes.
_LIKENESS = 0.5


def seconds_per_second(host: Host, spec: EffectSpec, info: EffectInfo) -> float | None:
    """Seconds to render one second of mono noise, or of notes, at the defaults, median of 3; None if it takes too long.

    Raises:
        RenderError: the render fails.
    """
    rate = round(spec.sample_rate)
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, (1, 1, rate)).astype(np.float32)
    if info.takes == "notes":
        sound = tune(rate, 1, spec.sample_rate)[None]
    point = info.parameters.defaults[None]
    took: list[float] = []
    deadline = time.monotonic() + PATIENCE
    try:
        while len(took) < 4 and (time.monotonic() < deadline or not took):
            start = time.perf_counter()
            host.render_batch(spec, sound, point)
            took.append(time.perf_counter() - start)
    except RenderTimeoutError:
        return None
    return statistics.median(took[1:] or took)  # the first one warms up


@dataclass(frozen=True)
class History:
    """Largest relative errors between renders of one setting: in a row, and with others in between."""

    repeatability: float
    leakage: float


def history(renders: Renders) -> History:
    """Render two settings again and again, with far ones and a nudge in between."""
    rng = np.random.default_rng(0)
    count = len(renders.space)
    here, inside = renders.space.defaults, rng.uniform(0.2, 0.8, count)
    others = [np.ones(count), np.zeros(count), rng.uniform(size=count), _nudged(inside, rng)]
    order = [here, here, inside, inside]
    for other in others:
        order += [other, inside, other, here]
    outputs, _ = renders(np.array(order), in_order=True)
    first_here, first_inside = outputs[1], outputs[3]
    repeats = [relative_error(outputs[0], first_here), relative_error(outputs[2], first_inside)]
    returns = [relative_error(first_inside, y) for y in outputs[5::4]] + [relative_error(first_here, y) for y in outputs[7::4]]
    return History(max(repeats), max(returns))


def _nudged(point: FloatArray, rng: np.random.Generator) -> FloatArray:
    return np.clip(point + 0.01 * rng.choice([-1.0, 1.0], size=len(point)), 0.0, 1.0)


def measured_latency(renders: Renders) -> int | None:
    """The effect's true latency in samples, reported or not: the lag between input and output at the defaults.

    None if the output resembles the input too little at every lag, and for an instrument.
    """
    if renders.info.takes == "notes":
        return None
    y, finite = renders(renders.space.defaults[None])
    dry, wet = renders.references[-1].mean(axis=0, dtype=np.float64), y[0, -1].mean(axis=0, dtype=np.float64)
    size = 2 * dry.size
    correlation = np.fft.irfft(np.fft.rfft(wet, size) * np.conj(np.fft.rfft(dry, size)), size)
    peak = int(np.argmax(np.abs(correlation)))
    likeness = abs(correlation[peak]) / max(float(np.linalg.norm(dry) * np.linalg.norm(wet)), 1e-12)
    if not finite.all() or likeness < _LIKENESS:
        return None
    return renders.info.latency + (peak if peak < dry.size else peak - size)


@dataclass(frozen=True)
class Failures:
    """Shares of random settings without usable sound, as in `Inspection`, and one of them."""

    nonfinite: float
    silent: float
    loud: float
    example: tuple[tuple[str, float], ...]


def failures(renders: Renders) -> Failures:
    """Render settings all over the box (a Latin hypercube, so that every parameter covers its range)."""
    rng = np.random.default_rng(0)
    count = len(renders.space)
    points = renders.space.snap((rng.permuted(np.tile(np.arange(_RANDOM), (count, 1)), axis=1).T + 0.5) / _RANDOM)
    y, finite = renders(points)
    nonfinite = ~finite.all(axis=1)
    silent = ~nonfinite & (np.abs(y).max(axis=(1, 2, 3)) < SILENCE)
    with np.errstate(over="ignore"):
        loud = ~nonfinite & (np.abs(y).max(axis=(1, 2, 3)) > LOUD * np.abs(renders.references).max())
    bad = next((found for found in map(np.flatnonzero, (nonfinite, loud, silent)) if len(found)), np.array([], int))
    example = tuple(zip(renders.space.names, points[bad[0]].round(3).tolist(), strict=True)) if len(bad) else ()
    return Failures(float(nonfinite.mean()), float(silent.mean()), float(loud.mean()), example)
