"""By how much equal renders of a plug-in differ: what it declares as its repeatability, if it was seen to differ at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from blackbox_grad.effects import Audio, PluginEffect, relative_error
from blackbox_grad.parameters import FloatArray
from blackbox_grad_backends.native.determinism import reseed
from blackbox_grad_backends.native.probing import sound, width

#: `audio [inputs, N]`, all values `[F]` -> `[outputs, N]`.
Method: TypeAlias = Callable[[Audio, FloatArray], Audio]

#: Seconds of the processor from which on a render is slow: it creates a plug-in that reads files, such as amsynth.
SLOW = 0.025

_SAMPLES = 8192

#: Relative level of loud audio.
_LOUD = 4.0

#: Distance of near settings.
_NEAR = 0.01


def worst_error(effect: PluginEffect, method: Method, tries: int, seconds: float, quickest: Method) -> float:
    """The largest relative error between two equal renders, over many points and what was rendered between the two.

    Some plug-ins differ seldom (a timer, a thread), and some far more at a few points than at all others.

    Args:
        tries: points, each with one history.
        seconds: of the processor, after which it stops.
        quickest: the method of the renders in between, where `method` is slow.
    """
    rng = np.random.default_rng(1)
    space, count = effect.parameters, len(effect.parameters)
    noise = 0.25 * rng.standard_normal((width(effect), _SAMPLES))
    at = np.linspace(0.0, 1.0, _SAMPLES)
    gaps = np.where((at > 0.6) & (at < 0.8), 0.0, np.sin(np.pi * np.minimum(1.0, 4 * at + 0.05)) ** 2 + 0.1)
    sounds = [sound(effect, each) for each in (noise, noise * gaps)]
    others = [*sounds, *(sound(effect, each) for each in (_LOUD * noise, noise[:, : _SAMPLES // 3], 0.0 * noise))]

    def render(audio: Audio, point: FloatArray, by: Method = method) -> Audio:
        reseed()
        return by(audio, space.complete(point))

    started = time.process_time()
    render(sounds[0], space.defaults)
    between = quickest if time.process_time() - started > SLOW else method
    deadline = started + seconds
    worst = 0.0
    for k in range(tries):
        if time.process_time() > deadline:
            break
        inner = rng.uniform(0.2, 0.8, size=count)
        point = (space.defaults, inner, inner, rng.uniform(size=count))[rng.integers(4)]
        audio = sounds[rng.integers(len(sounds))]
        expected = render(audio, point)
        if not np.isfinite(expected).all():
            continue
        near = np.clip(point + _NEAR * rng.choice([-1.0, 1.0], size=count), 0.0, 1.0)
        elsewhere = (np.zeros(count), near, np.ones(count), rng.uniform(size=count))[rng.integers(4)]
        render(others[k % len(others)], elsewhere, between)
        worst = max(worst, relative_error(expected, render(audio, point)))
    return worst
