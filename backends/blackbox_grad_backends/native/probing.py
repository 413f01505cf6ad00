"""What a plug-in is tried with: noise, or notes where it is an instrument."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects import Audio, Messages, PluginEffect, accompanied, packed, tune

#: All sound off, controllers back, all notes off: what a host sends to end everything.
_ENDINGS = (120, 121, 123)

_CHANNELS = 2


def width(effect: PluginEffect) -> int:
    """Channels of the noise for `sound`."""
    return effect.inputs - len(effect.sides) if effect.takes == "audio" else 1


def sound(effect: PluginEffect, noise: NDArray[np.floating[Any]]) -> Audio:
    """For `process`: `noise: [width, N]` with what other inputs take, and notes; for an instrument a tune as loud."""
    if effect.takes == "audio":
        audio = effect.filled(noise.astype(np.float32))
        return accompanied(audio, effect.sample_rate) if effect.beside else audio
    if effect.beside:
        return accompanied(np.resize(noise, (effect.inputs, noise.shape[1])).astype(np.float32), effect.sample_rate)
    level = float(np.sqrt(np.mean(np.square(noise)))) if noise.size else 0.0
    velocity = min(127, round(256 * level))
    return tune(noise.shape[1], _CHANNELS, effect.sample_rate, velocity, 36 + velocity // 6)


def silence(effect: PluginEffect, samples: int) -> Audio:
    """For `process`: nothing. An instrument is told to end all notes."""
    if effect.takes == "audio":
        return np.zeros((effect.inputs, samples), np.float32)
    data = np.array([(0xB0 | channel, ending, 0) for channel in range(16) for ending in _ENDINGS], np.uint8)
    return packed(Messages(np.zeros(len(data), np.int64), data), samples, _CHANNELS, effect.sample_rate)
