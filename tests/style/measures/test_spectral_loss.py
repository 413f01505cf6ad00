"""The distance between recordings is auraloss's, item by item."""

from __future__ import annotations

import auraloss
import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.measures.spectral import SIZES, distance, multi_resolution_stft, spectra


@pytest.fixture(scope="module")
def recordings():
    """`[3, 2, 65536]`."""
    audio, _ = audio_files.example()
    return torch.from_numpy(audio[:, : 3 * 65_536].reshape(2, 3, 65_536).transpose(1, 0, 2).copy())


def reference(y, target, sizes=SIZES):
    hops = [size // 2 for size in sizes]
    loss = auraloss.freq.MultiResolutionSTFTLoss(sizes, hops, sizes, w_sc=0.0, w_log_mag=1.0, w_lin_mag=1.0)
    return torch.stack([loss(a[None], b[None]) for a, b in zip(y, target, strict=True)])


def test_it_is_auralosses(recordings):
    target = torch.tanh(3 * recordings)
    torch.testing.assert_close(multi_resolution_stft(recordings, target), reference(recordings, target), rtol=1e-4, atol=0)


def test_its_gradient_is_auralosses(recordings):
    y = recordings[:1].clone().requires_grad_()
    target = torch.tanh(3 * recordings[:1])
    (mine,) = torch.autograd.grad(multi_resolution_stft(y, target).sum(), y)
    (theirs,) = torch.autograd.grad(reference(y, target).sum(), y)
    assert torch.cosine_similarity(mine.flatten(), theirs.flatten(), dim=0) > 0.999


def test_it_is_0_for_equal_audio(recordings):
    assert distance(recordings, *spectra(recordings)).max() < 1e-6


def test_sizes_that_do_not_fit_are_left_out(recordings):
    x = recordings[:1, :, :3000]
    assert len(spectra(x)) == 4
    torch.testing.assert_close(multi_resolution_stft(x, 2 * x), reference(x, 2 * x, [32, 128, 512, 2048]), rtol=1e-4, atol=0)


def test_audio_too_short_for_all_is_refused(recordings):
    with pytest.raises(AudioError, match="more than 16 samples"):
        spectra(recordings[..., :16])
