"""Recordings in a page: what a browser plays."""

from __future__ import annotations

import base64

import numpy as np

from blackbox_grad.audio_files import encoded, resample
from blackbox_grad.audio_formats import FLAC_16
from blackbox_grad.effects.audio import Audio

#: Seconds of each recording in the page.
MOST_SECONDS = 30.0

#: Hz. Audio at a rate that the page cannot hold is resampled to this.
_PLAYED = 48000.0


def flac(audio: Audio, sample_rate: float) -> str:
    """`[C, T]` as 16-bit FLAC in a data URI, which every browser plays. Averages more than two channels to one.

    At a sample rate that FLAC does not have, the audio is resampled.
    """
    stereo = np.clip(audio if audio.shape[0] <= 2 else audio.mean(axis=0, keepdims=True), -1.0, 1.0)
    if FLAC_16.trouble(stereo.shape[0], sample_rate):
        stereo, sample_rate = np.clip(resample(stereo, sample_rate, _PLAYED), -1.0, 1.0), _PLAYED
    return "data:audio/flac;base64," + base64.b64encode(encoded(stereo, sample_rate, FLAC_16)).decode()
