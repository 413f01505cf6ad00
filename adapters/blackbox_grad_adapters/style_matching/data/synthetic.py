"""Synthetic sounds, so that an encoder meets what recordings of speech and songs do not have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from blackbox_grad.effects import Audio
from blackbox_grad.parameters import FloatArray

#: Semitones of chords.
_CHORDS = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 10), (0, 7, 12), (0, 5, 7))


def draw(length: int, sample_rate: float, rng: np.random.Generator) -> Audio:
    """`[1, length]`: a random sound, its peak at 1."""
    kinds: tuple[Callable[[int, float, np.random.Generator], FloatArray], ...] = (_plucks, _bursts, _sweep, _drums, _chord)
    sound = kinds[rng.integers(len(kinds))](length, sample_rate, rng)
    sound = sound + 10 ** rng.uniform(-5.0, -3.5) * rng.normal(size=length)
    found: Audio = (sound / np.abs(sound).max()).astype(np.float32)[None]
    return found


def _plucks(length: int, sample_rate: float, rng: np.random.Generator) -> FloatArray:
    """Notes of a plucked string, each a decaying sum of harmonics."""
    sound, at = np.zeros(length), 0
    while at < length:
        note = _note(length - at, sample_rate, 55 * 2 ** rng.uniform(0, 4), rng.uniform(0.15, 1.2), rng.uniform(0.6, 2.0), rng)
        sound[at:] += rng.uniform(0.3, 1.0) * note
        at += int(sample_rate * rng.uniform(0.08, 0.6))
    return sound


def _bursts(length: int, sample_rate: float, rng: np.random.Generator) -> FloatArray:
    """Bursts of coloured noise."""
    gain, at = np.zeros(length), 0
    while at < length:
        size = int(sample_rate * rng.uniform(0.005, 0.5))
        part = gain[at : at + size]
        part += rng.uniform(0.2, 1.0) * np.linspace(1.0, rng.uniform(0.0, 1.0), size)[: len(part)]
        at += size + int(sample_rate * rng.uniform(0.02, 0.5))
    spectrum = np.fft.rfft(rng.normal(size=length))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** -rng.uniform(0.0, 1.0)
    return np.fft.irfft(spectrum, length) * gain


def _sweep(length: int, sample_rate: float, rng: np.random.Generator) -> FloatArray:
    """A tone that glides over octaves, from sine to saw."""
    first, last = rng.permutation((rng.uniform(40, 300), rng.uniform(600, 12_000))).tolist()
    hz = np.geomspace(first, last, length)
    phase = 2 * np.pi * np.cumsum(hz) / sample_rate
    sound: FloatArray = np.sin(phase)
    for k in range(2, 1 + int(rng.integers(1, 12))):
        sound += np.where(k * hz < 0.45 * sample_rate, np.sin(k * phase) / k, 0.0)
    sound *= 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.3, 2.0) * np.arange(length) / sample_rate)
    return sound


def _drums(length: int, sample_rate: float, rng: np.random.Generator) -> FloatArray:
    """Low drum, snare and cymbal on a grid."""
    t = np.arange(int(0.5 * sample_rate)) / sample_rate
    low = np.sin(2 * np.pi * (rng.uniform(40, 70) * t + rng.uniform(3, 8) * (1 - np.exp(-t * 30)) / 6)) * np.exp(-t * 9)
    noise = rng.normal(size=len(t))
    snare = 0.6 * noise * np.exp(-t * rng.uniform(12, 30)) + 0.5 * np.sin(2 * np.pi * 190 * t) * np.exp(-t * 25)
    cymbal = 0.5 * np.diff(noise, prepend=0.0) * np.exp(-t * rng.uniform(20, 90))
    sound, step = np.zeros(length + len(t)), int(sample_rate * rng.uniform(0.09, 0.2))
    for beat in range(length // step + 1):
        hits = [cymbal * rng.uniform(0.3, 1.0)]
        if beat % 4 == 0 or rng.random() < 0.15:
            hits.append(low)
        if beat % 8 == 4 or rng.random() < 0.08:
            hits.append(snare)
        sound[beat * step : beat * step + len(t)] += sum(hits)
    return sound[:length]


def _chord(length: int, sample_rate: float, rng: np.random.Generator) -> FloatArray:
    """Held or struck chords."""
    sound, at = np.zeros(length), 0
    while at < length:
        root = 65 * 2 ** (rng.integers(0, 36) / 12)
        long, bright = rng.uniform(0.4, 6.0), rng.uniform(0.6, 2.0)
        for semitone in _CHORDS[rng.integers(len(_CHORDS))]:
            sound[at:] += _note(length - at, sample_rate, root * 2 ** (semitone / 12), long, bright, rng)
        at += int(sample_rate * rng.uniform(0.4, 1.6))
    return sound


def _note(length: int, sample_rate: float, hz: float, decay: float, tilt: float, rng: np.random.Generator) -> FloatArray:
    """Harmonics whose amplitude falls as `k^-tilt`; the high ones decay faster."""
    t = np.arange(min(length, int(5 * decay * sample_rate))) / sample_rate
    found = np.zeros(length)
    for k in range(1, min(30, int(0.45 * sample_rate / hz)) + 1):
        wave = np.sin(2 * np.pi * (k * hz * t + rng.random()))
        found[: len(t)] += k**-tilt * wave * np.exp(-t / decay * (1 + 0.1 * k))
    found[: min(64, len(t))] *= np.linspace(0, 1, min(64, len(t)))
    return found
