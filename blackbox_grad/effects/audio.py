"""Audio in the core: `[C, T] float32`."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blackbox_grad.errors import AudioError

Audio: TypeAlias = NDArray[np.float32]

#: More channels than this, and than samples, are samples in the wrong place.
MOST_CHANNELS = 256


def check_audio(audio: ArrayLike) -> Audio:
    """`[C, T]` as contiguous float32; raises `AudioError` otherwise."""
    try:
        array = np.asarray(audio)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AudioError(f"audio must be an array [channels, samples] of float32: {error}") from error
    if array.dtype.kind not in "fiu":
        raise AudioError(f"audio must be float32 in [-1, 1], got {array.dtype}")
    if array.ndim != 2 or array.shape[0] == 0:
        hint = "; for mono write audio[None]" if array.ndim == 1 else ""
        raise AudioError(f"audio must have the shape [channels, samples], got {array.shape}{hint}")
    if array.shape[0] > max(MOST_CHANNELS, array.shape[1]):
        raise AudioError(
            f"audio of shape {array.shape} must be [channels, samples]; is it [samples, channels]? Then write audio.T"
        )
    if array.dtype.kind != "f":
        raise AudioError(f"audio must be float32 in [-1, 1], got integers ({array.dtype}); divide by their full scale first")
    return np.ascontiguousarray(array, dtype=np.float32)
