"""Rendering one item: the same code in this process and in a host process."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo, SelectedEffect
from blackbox_grad.errors import AudioError, ParameterError
from blackbox_grad.hosts.limits import check_memory, errors_of
from blackbox_grad.parameters.parameter import FloatArray

#: Samples over which products are summed in float32. The sums are added in float64: exact enough for differences of probes.
_BLOCK = 1024

#: For the loops around `render_into` and `probe_value`, which check for audio that is not finite themselves.
ignore_overflow = functools.partial(np.errstate, invalid="ignore", over="ignore")


def inner_product(a: Audio, b: Audio) -> float:
    """`⟨a, b⟩` of two arrays of one shape, as float64.

    >>> inner_product(np.ones((2, 3), np.float32), np.full((2, 3), 0.5, np.float32))
    3.0
    """
    a, b = a.reshape(-1), b.reshape(-1)
    whole = len(a) - len(a) % _BLOCK
    blocks = np.einsum("ij,ij->i", a[:whole].reshape(-1, _BLOCK), b[:whole].reshape(-1, _BLOCK))
    product = blocks.sum(dtype=np.float64)
    if whole < len(a):
        product += np.dot(a[whole:].astype(np.float64), b[whole:].astype(np.float64))
    return float(product)


def render_into(effect: SelectedEffect, audio: Audio, values: FloatArray, out: Audio) -> float:
    """Render `[C, T]` at `values: [F]` into `out`; 0.0 if the result is finite, NaN otherwise.

    Raises:
        AudioError: `audio` is not finite. The effect does not receive it: it might crash, or keep it in its state.
    """
    if not _is_finite(audio):
        raise AudioError(f"{effect.spec.address}: clean the audio x before the effect: it holds NaN or infinity")
    out[...] = y = effect.render_at(audio, values)
    return 0.0 if _is_finite(y) else np.nan


def _is_finite(audio: Audio) -> bool:
    energy = inner_product(audio, audio)  # quick, and finite as a rule
    return bool(np.isfinite(energy) or np.isfinite(audio).all())


def probe_value(effect: SelectedEffect, audio: Audio, values: FloatArray, cotangent: Audio) -> float:
    """`⟨ȳ, f(x, p)⟩`; NaN if the render is not finite."""
    value = inner_product(effect.render_at(audio, values), cotangent)
    return value if np.isfinite(value) else np.nan


def probe_segments(
    effect: SelectedEffect, audio: Audio, values: FloatArray, cotangent: Audio, bounds: NDArray[np.int64], out: FloatArray
) -> float:
    """`⟨ȳ, f(x, p)⟩` of each part of the audio from `bounds[s]` to `bounds[s + 1]`, into `out: [S]`; their sum.

    NaN, all of them, if the render is not finite.
    """
    y = effect.render_at(audio, values)
    for s, (begins, ends) in enumerate(itertools.pairwise(bounds.tolist())):
        out[s] = inner_product(y[:, begins:ends], cotangent[:, begins:ends])
    total = float(out.sum())
    if not np.isfinite(total):
        out[:] = total = np.nan
    return total


def check_bounds(effect: EffectInfo | SelectedEffect, bounds: NDArray[np.int64], samples: int) -> None:
    """Raise `AudioError` unless `bounds: [S + 1]` are samples of the audio in order."""
    if bounds.ndim != 1 or len(bounds) < 2 or bounds.dtype.kind != "i" or bounds[0] < 0 or bounds[-1] > samples:
        raise AudioError(f"{effect.spec.address}: bounds of segments must be samples from 0 to {samples}, got {bounds}")
    if (np.diff(bounds) < 0).any():
        raise AudioError(f"{effect.spec.address}: bounds of segments must be in order, got {bounds}")


def check_batch(effect: EffectInfo | SelectedEffect, audio: Audio, points: FloatArray, cotangent: Audio | None = None) -> None:
    """Raise if the arrays of a call do not fit each other or the effect: a host would misread the shared memory."""
    where = effect.spec.address
    if audio.ndim != 3 or audio.dtype.kind != "f":
        raise AudioError(f"{where}: audio must be [B, C, T] float32, got {audio.shape} {audio.dtype}")
    if cotangent is not None and cotangent.shape != audio.shape:
        raise AudioError(f"{where}: the cotangent must have the shape of the audio, {audio.shape}, got {cotangent.shape}")
    ranks = (3,) if cotangent is not None else (2, 3)
    if points.ndim not in ranks or points.shape[-2] != len(audio):
        due = "[K, B, P]" if cotangent is not None else "[B, P] or [K, B, P]"
        raise ParameterError(f"{where}: points must have the shape {due} with B = {len(audio)}, got {points.shape}")
    with errors_of(effect.spec):
        check_memory(3 * points.size * 8, f"checking points of shape {points.shape}")
    try:
        effect.parameters.check(points)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from error
