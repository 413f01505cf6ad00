"""Tones: how an instrument sounds."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from blackbox_grad.errors import AudioError
from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.losses.envelope import Envelope
from blackbox_grad.losses.spectra import log_filters, mel_filters, power_spectrogram

#: Weights of the three parts.
_SPECTRA, _ENVELOPE, _PITCH_BLIND = 1.0, 0.5, 0.5

#: Mel bands, at most; and an eighth of the window's samples.
_BANDS = 64

#: Of the broad shape: lowest frequency (Hz), bands an octave, and orders of the transform along them.
_LOWEST, _AN_OCTAVE, _ORDERS = 55.0, 8, 8

#: Added to the squares under a root, so that its slope is finite.
_SMALL = 1e-12


class Tones(FeatureLoss):
    """For the sounds of instruments, in units of 10 dB: three mean absolute differences, of which two count half.

    - Log-mel spectrograms of windows of about 10, 50 and 200 ms, for attacks, timbre and pitch.
    - The levels of `Envelope`.
    - The broad shape of the spectrum, which hears little of a pitch some semitones away. On an axis of log frequency another
      pitch is a shift, which the magnitude of the Fourier transform along that axis forgets (R. A. Altes, "The Fourier-Mellin
      transform and mammalian hearing", J. Acoust. Soc. Am. 63(1), 1978, doi:10.1121/1.381708). Its low orders leave single
      harmonics out.

    Levels more than 60 dB below the target's mean do not count.
    """

    seconds = (0.0116, 0.0464, 0.1858)

    def prepare(self, target: Tensor) -> None:
        length = target.shape[-1]
        if length < 64:
            raise AudioError(f"the loss 'tones' needs 64 samples or more, got {length}; give more audio, or choose 'l1'")
        longest = 1 << (length.bit_length() - 1)
        sizes = sorted({min(max(64, 1 << round(s * self.sample_rate - 1).bit_length()), longest) for s in self.seconds})
        self._windows = [torch.hann_window(size, dtype=torch.float32) for size in sizes]
        self._bands = [mel_filters(min(_BANDS, size // 8), size, self.sample_rate, averaging=True) for size in sizes]
        self._octaves = log_filters(_LOWEST, _AN_OCTAVE, sizes[-1], self.sample_rate)
        self._taper = torch.hann_window(self._octaves.shape[1] + 2, periodic=False, dtype=torch.float32)[1:-1]
        powers = [power_spectrogram(target[None], window) for window in self._windows]
        self._floors = [
            max(float((power @ bands).mean()), 1e-18) * 1e-6 for power, bands in zip(powers, self._bands, strict=True)
        ]
        self._envelope = Envelope(target, self.sample_rate)

    def features(self, audio: Tensor) -> Tensor:
        parts = []
        for window, bands, floor in zip(self._windows, self._bands, self._floors, strict=True):
            power = power_spectrogram(audio, window)
            levels = torch.log10(power @ bands + floor).flatten(1)
            parts.append(levels * (_SPECTRA / (len(self._windows) * levels.shape[1])))
        shape = self._shape_of(power).flatten(1)
        parts.append(shape * (_PITCH_BLIND / shape.shape[1]))
        parts.append(self._envelope.features(audio) * _ENVELOPE)
        return torch.cat(parts, dim=1)

    def shape(self, audio: Tensor) -> Tensor:
        """`[B, C, T]` -> `[B, C, frames, orders]`: magnitudes that a shift along log frequency hardly changes."""
        return self._shape_of(power_spectrogram(audio, self._windows[-1]))

    def _shape_of(self, power: Tensor) -> Tensor:
        floor = self._floors[-1]
        levels = torch.log10(power @ self._octaves + floor) - math.log10(floor)
        spectrum = torch.fft.rfft(levels * self._taper)[..., :_ORDERS] / len(self._taper) ** 0.5
        return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + _SMALL)
