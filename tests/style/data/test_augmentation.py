"""Pitch and tempo change as requested, each on its own."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad import audio_files, default_host
from blackbox_grad_adapters.style_matching.data.augmentation import Augmentation, Change

RATE, LENGTH = 24_000.0, 48_000


def tone(needed):
    return (0.5 * np.sin(2 * np.pi * 500 * np.arange(needed) / RATE))[None].astype(np.float32)


def bursts(needed):
    """The tone, on and off every quarter of a second."""
    return tone(needed) * (np.arange(needed) / RATE % 0.5 < 0.25).astype(np.float32)


def envelope_period(audio):
    """Seconds between bursts, from the autocorrelation of the envelope."""
    loudness = np.abs(audio[0]).reshape(-1, 240).max(axis=1) > 0.2
    centred = loudness - loudness.mean()
    correlation = np.correlate(centred, centred, "full")[len(centred) :]
    return (20 + int(np.argmax(correlation[20:80])) + 1) * 240 / RATE


@pytest.mark.parametrize("semitones", [-4.0, 0.0, 3.0])
@pytest.mark.parametrize("tempo", [0.8, 1.0, 1.25])
def test_a_change_moves_pitch_and_tempo_as_told(semitones, tempo):
    change = Change(semitones, tempo)
    higher, faster = (change.apply(x(change.needs(LENGTH)), LENGTH, RATE, default_host()) for x in (tone, bursts))
    assert higher.shape == faster.shape == (1, LENGTH)
    assert higher.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(higher[0] * np.hanning(LENGTH)))
    assert np.argmax(spectrum) * RATE / LENGTH == pytest.approx(500 * 2 ** (semitones / 12), rel=0.02)
    assert envelope_period(faster) == pytest.approx(0.5 / tempo, abs=0.03)


def test_a_recording_that_is_only_played_faster_is_not_shifted():
    """Its pitch follows, and nothing else changes: the result equals the resampled recording to the sample."""
    change = Change(12 * np.log2(1.25), 1.25)
    x = bursts(change.needs(LENGTH))
    assert np.array_equal(change.apply(x, LENGTH, RATE, host=None), audio_files.resample(x, 1.25 * RATE, RATE)[:, :LENGTH])


def test_changes_are_drawn_within_their_bounds():
    rng = np.random.default_rng(0)
    drawn = [Augmentation(0.5, independent=0.5, semitones=2.0, tempo=1.1).draw(rng) for _ in range(800)]
    changes = [c for c in drawn if c is not None]
    assert 340 < len(changes) < 460
    assert 1 / 1.1 <= min(c.tempo for c in changes) < 0.92
    assert 1.08 < max(c.tempo for c in changes) <= 1.1
    independent = [c for c in changes if c.semitones != 12 * np.log2(c.tempo)]
    assert 0.4 < len(independent) / len(changes) < 0.6
    assert -2 <= min(c.semitones for c in independent) < -1.8
    assert 1.8 < max(c.semitones for c in independent) <= 2


def test_changes_that_are_too_far_are_refused():
    with pytest.raises(ValueError, match=r"tempo=3 in \[1, 1\.25\]"):
        Augmentation(tempo=3)
    with pytest.raises(ValueError, match=r"probability=2 and independent=0\.25 must lie in \[0, 1\]"):
        Augmentation(2)
