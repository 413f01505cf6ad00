"""The low-pass anchors of a MUSHRA test."""

from __future__ import annotations

import functools
import warnings
from dataclasses import replace

import numpy as np

from blackbox_grad.dependencies import library
from blackbox_grad.effects import Audio
from blackbox_grad.errors import AudioError
from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.listening.items import REFERENCE, Item

#: The anchors by name, and their cut-off frequencies in Hz.
ANCHORS = {"anchor35": 3500.0, "anchor70": 7000.0}

#: The mid-range anchor, by which listeners are screened.
MID_ANCHOR = "anchor70"

#: Where the stop band begins, as a ratio of the cut-off: 4 kHz for 3.5 kHz.
_STOP = 8.0 / 7.0

#: dB, of the stop band. The recommendation asks for 25 dB at 4 kHz and 50 dB at 4.5 kHz.
_ATTENUATION = 60.0

#: dB below the reference. An anchor that differs by less is not heard.
_HEARD = -50.0


def low_pass(audio: Audio, sample_rate: float, cutoff: float) -> Audio:
    """`[C, T]` below `cutoff` Hz, in phase with the input: a linear-phase filter whose delay is taken out.

    It keeps within the mask of ITU-R BS.1534-3, 5.1 (for 3.5 kHz: ripple ±0.1 dB, 25 dB at 4 kHz, 50 dB at 4.5 kHz), and within the
    same mask scaled for other cut-offs.

    Raises:
        AudioError: the sample rate is too low for this filter.
    """
    if sample_rate < 2 * _STOP * cutoff:
        raise AudioError(
            f"sounds at {sample_rate:g} Hz have no anchor at {cutoff / 1000:g} kHz, which needs {2 * _STOP * cutoff:g} Hz; give "
            "recordings of a higher sample rate, or --no-anchors"
        )
    signal = library("scipy.signal", "a listening test")
    taps = _taps(sample_rate, cutoff)
    y = signal.fftconvolve(audio.astype(np.float64), taps[None], mode="full", axes=1)
    start = len(taps) // 2
    return np.ascontiguousarray(y[:, start : start + audio.shape[1]], np.float32)


def with_anchors(item: Item) -> Item:
    """The item, and among its systems the anchors made from its reference. Warns of an anchor that nobody can hear."""
    reference = item.sounds[REFERENCE]
    sounds = dict(item.sounds)
    for name, cutoff in ANCHORS.items():
        if name in sounds:
            raise AudioError(f"{item.title}: no system may be called {name}, the name of an anchor; give it another name")
        sounds[name] = low_pass(reference, item.sample_rate, cutoff)
        missing = np.square(reference - sounds[name], dtype=np.float64).sum()
        if missing < 10.0 ** (_HEARD / 10.0) * np.square(reference, dtype=np.float64).sum():
            warnings.warn(
                f"{item.title}: the reference has almost nothing above {cutoff / 1000:g} kHz, so its anchor sounds like itself",
                stacklevel=2,
            )
    return replace(item, sounds=sounds)


@functools.cache
def _taps(sample_rate: float, cutoff: float) -> FloatArray:
    signal = library("scipy.signal", "a listening test")
    width = (_STOP - 1.0) * cutoff
    count, beta = signal.kaiserord(_ATTENUATION, width / (sample_rate / 2.0))
    middle = min(cutoff + width / 2.0, 0.999 * sample_rate / 2.0)
    taps: FloatArray = signal.firwin(count | 1, middle, window=("kaiser", beta), fs=sample_rate)
    return taps
