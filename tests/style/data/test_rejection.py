"""Silence and noise are recognised, recordings pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dct

from blackbox_grad import audio_files
from blackbox_grad_adapters.style_matching.data.rejection import SILENCE, SIMILARITY, mfcc, silent, similarity
from blackbox_grad_adapters.style_matching.effect_path import EffectPath, normalise


def guitar(rate, channels=1):
    audio, own = audio_files.example()
    return normalise(torch.from_numpy(audio_files.resample(audio[:channels], own, rate)[None, :, : int(rate)]))


def test_silence_begins_at_minus_50_decibels():
    level = torch.tensor([1.01, 0.99]) * SILENCE**0.5
    assert silent(level[:, None, None].expand(2, 2, 100)).tolist() == [False, True]


@pytest.mark.parametrize("rate", [16_000.0, 24_000.0, 44_100.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_recording_resembles_itself_and_not_noise(rate, channels):
    x = guitar(rate, channels)
    noise = normalise(torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    assert similarity(x, x, rate).item() == pytest.approx(1.0, abs=1e-5)
    assert similarity(x, noise, rate).item() < SIMILARITY
    assert similarity(noise, x, rate).item() < SIMILARITY


def test_an_effect_that_leaves_the_recording_alone_keeps_it_similar():
    path = EffectPath("pedalboard-builtin:Reverb", parameters=["wet_level"])
    x = guitar(24_000.0)
    assert similarity(path.dry(x), path(x, torch.tensor([[0.3]])), 24_000.0).item() > 0.9


def test_mfccs_are_the_cosine_transform_of_a_mel_spectrogram_in_decibels():
    rate, frequency = 24_000.0, 3000.0
    x = torch.sin(2 * torch.pi * frequency * torch.arange(24_000) / rate)[None, None]
    coefficients = mfcc(x, rate)[0].numpy()
    assert coefficients.shape == (40, 1 + 24_000 // 200)
    decibels = dct(np.eye(128), norm="ortho", axis=0)[:40].T @ coefficients[:, 60]
    mel = 2595 * np.log10(1 + rate / 2 / 700) * (decibels.argmax() + 1) / 129
    assert 700 * (10 ** (mel / 2595) - 1) == pytest.approx(frequency, rel=0.05)
    louder = mfcc(2 * x, rate)[0].numpy() - coefficients
    np.testing.assert_allclose(louder[0], 20 * np.log10(2) * np.sqrt(128), rtol=1e-3)
    np.testing.assert_allclose(louder[1:], 0, atol=1e-2)
