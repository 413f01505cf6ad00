"""Two recordings made comparable; the loudest excerpt; the loss on the whole."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from blackbox_grad.effects.audio import Audio, check_audio
from blackbox_grad.effects.packing import is_packed
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import AudioError
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.losses.by_name import Loss, loss_for
from blackbox_grad.parameters.parameter import FloatArray

#: Peaks below this, -100 dBFS, are silence.
_SILENCE = 1e-5

#: Seconds before the excerpt that are rendered too, so that echoes and envelopes are on their way when it begins.
_LEAD = 1.0


class WholeLoss:
    """The loss on the whole recordings."""

    def __init__(self, spec: EffectSpec, host: Host, x: Audio, wanted: Audio, loss: Loss) -> None:
        self._spec, self._host, self._x = spec, host, x
        self._loss = loss_for(loss, torch.from_numpy(wanted), spec.sample_rate)

    def at(self, point: FloatArray) -> tuple[float, Audio]:
        """The loss at `point: [P]`, infinite if the render is, and the render `[C, T]`."""
        y, finite = self._host.render_batch(self._spec, self._x[None], point[None])
        loss = self._of(y[0]) if finite[0] else math.inf
        return (math.inf if math.isnan(loss) else loss), y[0]

    def dry(self) -> float:
        """The loss of the unprocessed input; of silence, where notes go in."""
        return self._of(np.zeros_like(self._x) if is_packed(self._x) else self._x)

    def _of(self, y: Audio) -> float:
        with torch.no_grad():
            return float(self._loss(torch.from_numpy(y)[None])[0])


def prepare(audio: Any, target: Any) -> tuple[Audio, Audio, list[str]]:
    """Both recordings as `[C, T] float32`, of one length and channel count, and what was done to them."""
    notes = []
    x, wanted = finite("audio", audio), finite("target", target)
    if x.shape[1] != wanted.shape[1]:
        length = min(x.shape[1], wanted.shape[1])
        notes.append(f"audio has {x.shape[1]} samples and target {wanted.shape[1]}: the longer one was cut to {length}")
        x, wanted = x[:, :length], wanted[:, :length]
    if x.shape[0] != wanted.shape[0]:
        notes.append(f"audio has {x.shape[0]} channels and target {wanted.shape[0]}: those of audio were averaged and repeated")
        x = np.repeat(x.mean(axis=0, keepdims=True), wanted.shape[0], axis=0)
    for name, array in (("audio", x), ("target", wanted)):
        check_heard(name, array)
    return np.ascontiguousarray(x), np.ascontiguousarray(wanted), notes


def checked(name: str, given: Any) -> Audio:
    """A recording as `[C, T] float32`, finite and not silent. `name` is what errors call it."""
    array = finite(name, given)
    check_heard(name, array)
    return np.ascontiguousarray(array)


def finite(name: str, given: Any) -> Audio:
    """A recording as `[C, T] float32`."""
    try:
        array = check_audio(given.detach().cpu() if isinstance(given, torch.Tensor) else given)
    except (AudioError, NotImplementedError) as error:  # the latter for a meta tensor, which holds no data
        raise AudioError(f"match: {name}: {error}") from error
    if not np.isfinite(array).all():
        raise AudioError(f"match: {name} holds NaN or infinity; clean it before")
    return array


def check_heard(name: str, array: Audio) -> None:
    """Raise `AudioError` at silence."""
    peak = float(np.abs(array).max(initial=0.0))
    if peak < _SILENCE:
        raise AudioError(
            f"match: {name} is silent (peak {peak:.1e}), so there is nothing to match; give a recording with sound"
        )


def loudest(target: Audio, sample_rate: float, seconds: float | None) -> tuple[slice, int]:
    """The part of the recording to render, and how many samples at its beginning are only a lead."""
    length = target.shape[1]
    if seconds is not None and not seconds * sample_rate >= 1.0:
        raise AudioError(f"match: excerpt={seconds} must be a positive number of seconds, or None for the whole recording")
    if seconds is None or seconds * sample_rate >= length:
        return slice(0, length), 0
    wanted = round(seconds * sample_rate)
    energy = np.concatenate([[0.0], np.cumsum(np.square(target, dtype=np.float64).sum(axis=0))])
    start = int(np.argmax(energy[wanted:] - energy[:-wanted]))
    lead = min(start, round(_LEAD * sample_rate))
    return slice(start - lead, start + wanted), lead
