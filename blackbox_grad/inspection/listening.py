"""The test signals, and how an inspection compares audio: log spectra, their linearisation, and a few features."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from blackbox_grad import audio_files
from blackbox_grad.effects.audio import Audio
from blackbox_grad.errors import MissingDependencyError
from blackbox_grad.parameters.parameter import FloatArray

Spectrum: TypeAlias = NDArray[np.complexfloating[Any]]

#: Seconds of each test signal: long enough for the second echo of a delay of half a second.
SECONDS = 1.5

#: Start of the excerpt of the bundled recording, seconds: a chord is struck there.
_EXCERPT = 0.68

#: Largest sample of the test signals.
_PEAK = 0.5

#: Peaks below this, -100 dBFS, are silence.
SILENCE = 1e-5

#: Samples of a window of the spectra. The hop is half of it.
_WINDOW = 1024

#: Power this far below the mean power of the input does not count, dB.
_FLOOR = -60.0

_DECIBELS = 10.0 / np.log(10.0)


def signals(sample_rate: float, channels: int) -> tuple[Audio, str]:
    """`[2, channels, T]`: a real recording and bursts of noise. Without the recording, bursts only, and a note that says why."""
    count = round(SECONDS * sample_rate)
    bursts = _bursts(sample_rate, channels, count)
    try:
        audio, rate = audio_files.example()
        if rate != sample_rate:
            audio = audio_files.resample(audio, rate, sample_rate)
    except MissingDependencyError as error:
        return bursts[None], f"measured on noise only: {error}"
    start = round(_EXCERPT * sample_rate)
    real = audio[:channels, start : start + count]
    return np.stack([real * (_PEAK / np.abs(real).max()), bursts]).astype(np.float32), ""


def _bursts(sample_rate: float, channels: int, count: int) -> Audio:
    """Decaying bursts at three levels, with silence between: gates open, compressors work, echoes stand alone."""
    time = np.arange(count) / sample_rate
    envelope = np.zeros(count)
    for start, loudness, length in ((0.01, 1.0, 0.04), (0.35, 0.3, 0.02), (0.6, 0.08, 0.1), (1.1, 0.6, 0.02)):
        since = np.maximum(time - start, 0.0)
        envelope += np.where(time >= start, loudness * np.exp(-since / length), 0.0)
    noise = envelope * np.random.default_rng(0).standard_normal((channels, count))
    return np.asarray(noise * (_PEAK / np.abs(noise).max()), dtype=np.float32)


def spectrum(audio: Audio, kind: type = np.complex64) -> Spectrum:
    """Short-time spectra of `[C, T]`, flat: `[N]`. With `complex128` the rounding of the transform stays below the effect's."""
    window = np.hanning(_WINDOW + 1)[:-1]
    window = (window / np.sqrt(np.sum(window**2))).astype(np.float32 if kind is np.complex64 else np.float64)
    padded = np.pad(audio, ((0, 0), (_WINDOW // 2, _WINDOW // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)[:, :: _WINDOW // 2]
    found: Spectrum = np.fft.rfft(frames * window).astype(kind, copy=False).reshape(-1)
    return found


class Ear:
    """Compares outputs of an effect for one input signal. `N` counts channels, frames and frequencies together.

    Args:
        dry: the signal `[C, T]`; its power sets the floor of the log spectra.
    """

    def __init__(self, dry: Audio) -> None:
        self.floor = float(np.mean(np.abs(spectrum(dry)) ** 2)) * 10.0 ** (_FLOOR / 10.0)

    def decibels(self, spectrum: Spectrum) -> FloatArray:
        """Log powers `[N]`, dB. The loss toward a target is the mean square of the difference from the target's."""
        power = spectrum.real**2 + spectrum.imag**2
        decibels: FloatArray = _DECIBELS * np.log(power + power.dtype.type(self.floor))
        return decibels

    def linearised(self, here: Spectrum, there: Spectrum) -> FloatArray:
        """`decibels(there) - decibels(here)` to first order in the change of the *audio*: what a cotangent at `here` sees."""
        power = here.real**2 + here.imag**2
        change = there - here
        moved = here.real * change.real + here.imag * change.imag
        linear: FloatArray = 2.0 * _DECIBELS * moved / (power + power.dtype.type(self.floor))
        return linear


def level(audio: Audio) -> float:
    """dB relative to full scale."""
    return float(10.0 * np.log10(np.mean(audio.astype(np.float64) ** 2) + 1e-20))


def crest(audio: Audio) -> float:
    """Peak over root-mean-square level, dB."""
    return float(20.0 * np.log10(np.abs(audio).max() + 1e-10)) - level(audio)


def brightness(audio: Audio, sample_rate: float) -> float:
    """Spectral centroid, Hz."""
    power = np.abs(np.fft.rfft(audio.astype(np.float64))) ** 2
    frequencies = np.fft.rfftfreq(audio.shape[1], 1.0 / sample_rate)
    return float((power * frequencies).sum() / max(power.sum(), 1e-30))
