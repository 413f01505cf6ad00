"""The path through an effect: exact at the true settings, also beside other renders."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blackbox_grad import DifferentiableEffect, audio_files
from blackbox_grad.errors import EffectLoadError
from blackbox_grad_adapters.style_matching.data.pairs import PairDataset
from blackbox_grad_adapters.style_matching.effect_path import FADE, PEAK, EffectPath, fades

MDA = ("Overdrive", "Combo", "MultiBand", "RingMod", "Delay", "ThruZero", "Dynamics", "Ambience", "Leslie")
BUILT_IN = ("Distortion", "Reverb", "Compressor", "Delay")
EFFECTS = [
    *(pytest.param(f"dawdreamer:http://drobilla.net/plugins/mda/{name}", id=name, marks=pytest.mark.plugins) for name in MDA),
    *(pytest.param(f"pedalboard-builtin:{name}", id=f"built-in {name}") for name in BUILT_IN),
]


def music(batch=1, channels=1, length=12_000):
    audio, rate = audio_files.example()
    audio = audio_files.resample(audio, rate, 24_000)[:channels]
    return torch.from_numpy(np.stack([audio[:, i * 9000 : i * 9000 + length] for i in range(batch)]))


@pytest.mark.parametrize("address", EFFECTS)
def test_the_loss_at_the_true_settings_is_exactly_0(address, tracks):
    path = EffectPath(address)
    data = PairDataset(path, tracks, length=16_384, clean=0.0, augmentation=None)
    pairs = [data.pair(i) for i in range(6)]
    batch = torch.utils.data.default_collate(pairs)
    disturbed = path(batch["input"].flip(0), 1.0 - batch["p"].flip(0))  # earlier renders leave no trace
    assert torch.isfinite(disturbed).all()
    p = batch["p"].requires_grad_()
    loss = (path(batch["input"], p) - batch["truth"]).abs().sum() + path.loss(
        batch["input"], p, lambda y, truth: (y - truth).square().sum(dim=(1, 2)), batch["truth"]
    )
    assert loss.item() == 0.0
    assert not torch.equal(batch["truth"], batch["input"])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [16_000.0, 44_100.0])
def test_the_result_has_fades_and_a_peak_of_minus_12_decibels(channels, rate):
    path = EffectPath("pedalboard-builtin:Reverb", rate)
    y = path(music(3, channels), torch.full((3, path.size), 0.5))
    torch.testing.assert_close(y.abs().amax(dim=(1, 2)), torch.full((3,), PEAK))
    assert (y[..., 0] == 0).all()
    assert (y[..., -1] == 0).all()
    gain = fades(y.shape[-1], rate)
    assert (gain < 1).sum() == 2 * round(FADE * rate)


def test_the_level_of_the_input_does_not_matter():
    path = EffectPath("pedalboard-builtin:Distortion")
    x, p = music(), torch.full((1, path.size), 0.4)
    torch.testing.assert_close(path(x * 0.125, p), path(x, p))


def test_silence_stays_silence():
    path = EffectPath("pedalboard-builtin:Distortion")
    y = path(torch.zeros(1, 1, 1000), torch.full((1, path.size), 0.4))
    assert (y == 0).all()


def test_a_network_learns_through_the_path():
    path = EffectPath("pedalboard-builtin:Distortion", parameters=["drive_db"], estimator="finite-difference")
    x = music()
    truth = path(x, torch.tensor([[0.7]]))
    p = torch.tensor([[0.4]], requires_grad=True)
    (path(x, p) - truth).square().sum().backward()
    assert p.grad.item() < 0  # more drive
    by_loss = torch.tensor([[0.4]], requires_grad=True)
    path.loss(x, by_loss, lambda y, t: (y - t).square().sum(dim=(1, 2)), truth).backward()
    assert by_loss.grad.item() < 0


def test_an_opened_effect_brings_its_options_itself():
    layer = DifferentiableEffect("pedalboard-builtin:Distortion", 16_000)
    assert EffectPath(layer).sample_rate == 16_000
    with pytest.raises(EffectLoadError, match="already has estimator; leave"):
        EffectPath(layer, estimator="spsa")
