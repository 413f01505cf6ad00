"""The encoder: effects in its embeddings, for recordings of any length and level, and its training loss."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from blackbox_grad import audio_files, load
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder, annealed
from blackbox_grad_adapters.style_matching.networks.representations import Statistics
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError

RATE, LENGTH = 24_000, 32_768


@pytest.fixture(scope="module")
def guitar():
    """`[1, 1, T]` at `RATE`, 5 s."""
    audio, rate = audio_files.example()
    return torch.from_numpy(audio_files.resample(audio.mean(axis=0, keepdims=True), rate, RATE))[None]


def encoder(preset="statistics"):
    torch.manual_seed(0)
    return Encoder(preset, RATE, LENGTH, latent=16).eval().requires_grad_(False)


def wet(audio, address, **settings):
    with load(address, RATE, "all") as effect:
        return torch.from_numpy(effect.render(audio[0].numpy(), effect.parameters.point(settings)))[None]


@pytest.mark.parametrize("preset", ["statistics", "paper"])
class TestEmbedding:
    def test_any_length(self, preset, guitar):
        for samples in (1, 500, LENGTH - 1, LENGTH, LENGTH + 1, guitar.shape[-1]):
            e = encoder(preset).embed(guitar[..., :samples])
            assert e.shape == (1, 16)
            assert torch.isfinite(e).all()

    def test_channels_are_averaged(self, preset, guitar):
        stereo = torch.cat([guitar, guitar], dim=1)
        assert torch.allclose(encoder(preset).embed(stereo), encoder(preset).embed(guitar), atol=1e-5)

    def test_the_level_does_not_count(self, preset, guitar):
        ears = encoder(preset)
        same, other = ears.embed(0.1 * guitar), ears.embed(guitar.flip(-1))
        assert (same - ears.embed(guitar)).norm() < 0.02 * (other - ears.embed(guitar)).norm()

    def test_items_do_not_hear_each_other(self, preset, guitar):
        parts = guitar[0, :, : 2 * LENGTH].reshape(2, 1, LENGTH)
        together = encoder(preset).embed(parts)
        alone = torch.cat([encoder(preset).embed(part[None]) for part in parts])
        assert torch.allclose(together, alone, atol=1e-4)

    def test_quiet_windows_say_nothing(self, preset, guitar):
        silence = torch.zeros(1, 1, 4 * LENGTH)
        clip = guitar[..., :LENGTH]
        assert torch.allclose(
            encoder(preset).embed(torch.cat([clip, 1e-4 * silence], -1)), self.halves(preset, clip), atol=1e-4
        )

    def halves(self, preset, clip):
        """The windows with sound in the clip: all of it, and its second half."""
        last = torch.cat([clip[..., LENGTH // 2 :], torch.zeros(1, 1, LENGTH // 2)], -1)
        return (encoder(preset).embed(clip) + encoder(preset).embed(last)) / 2

    def test_silence_is_embedded_too(self, preset):
        assert torch.isfinite(encoder(preset).embed(torch.zeros(2, 1, LENGTH))).all()

    def test_traits_are_in_units_of_what_sets_parts_of_a_recording_apart(self, preset, guitar):
        ears = encoder(preset)
        windows = guitar[0].unfold(1, LENGTH, LENGTH // 2).reshape(-1, LENGTH)
        heard = ears.representation(windows)
        ears.standardise(heard)
        ears.compare(heard[:-2], heard[2:])
        traits = ears.traits(windows[:, None])
        assert (traits[:-2] - traits[2:]).square().mean().sqrt() == pytest.approx(1.0, abs=0.1)
        driven = ears.traits(wet(windows[:1, None], "pedalboard-builtin:Distortion", drive_db="40 dB"))
        assert (driven - traits[:1]).square().mean().sqrt() > 1.5

    def test_audio_of_another_shape_is_refused(self, preset, guitar):
        for wrong in (guitar[0], guitar[..., :0]):
            with pytest.raises(AudioError, match=r"\[B, C, T\]"):
                encoder(preset).embed(wrong)

    def test_a_saved_one_hears_the_same(self, preset, guitar, tmp_path):
        ears = encoder(preset)
        ears.save(tmp_path / "e.safetensors", {"seed": 3})
        loaded = Encoder.load(tmp_path / "e.safetensors")
        assert loaded.header["seed"] == 3
        assert loaded.fingerprint == ears.fingerprint
        assert torch.allclose(loaded.embed(guitar), ears.embed(guitar), atol=2e-2)
        assert not any(weight.requires_grad for weight in loaded.parameters())

    @pytest.mark.slow
    def test_training_lowers_what_it_is_trained_on(self, preset, guitar):
        ears = Encoder(preset, RATE, LENGTH, latent=16)
        windows = guitar[0].unfold(1, LENGTH, 8192).reshape(-1, LENGTH)
        heard = ears.representation(windows)
        ears.standardise(heard)
        optimiser = torch.optim.Adam(ears.parameters(), 3e-3)
        errors = []
        for _ in range(30):
            drawn, error, divergence = ears.losses(ears.standardised(heard))
            (error + 1e-4 * divergence).backward()
            optimiser.step()
            optimiser.zero_grad()
            errors.append(error.item())
        assert drawn.shape == (len(windows), 16)
        assert divergence >= 0
        assert errors[-1] < 0.95 * errors[0]


def test_standardised_features_have_mean_0_and_variance_1(guitar):
    ears = encoder()
    heard = ears.representation(guitar[0].unfold(1, LENGTH, 4096).reshape(-1, LENGTH))
    ears.standardise(heard)
    features = ears.standardised(heard)
    assert features.mean().abs() < 0.02
    assert 0.7 < features.var(dim=0).mean() < 1.1


def test_one_feature_is_the_delay_of_an_echo(guitar):
    """The echoes of a real delay effect in real music."""
    statistics, heard = Statistics(RATE, 2 * LENGTH), []
    delays = torch.tensor([0.15, 0.3, 0.5])
    for delay, feedback in zip(delays.tolist(), (0.0, 0.3, 0.5), strict=True):
        echoed = wet(guitar, "pedalboard-builtin:Delay", delay_seconds=f"{delay * 1000} ms", feedback=feedback, mix=0.5)
        heard.append(statistics(echoed[0, :, : 2 * LENGTH])[0])
    bins = statistics.echoes - statistics.pitches
    seconds = (torch.stack(heard) * bins / 4 + statistics.pitches + 0.5) * 0.004 + 0.002
    assert ((seconds - delays[:, None]).abs() < 0.004).all(dim=0).any()


def test_features_tell_effects_apart_whatever_is_played(guitar):
    """The other half of the recording through the same effect is nearer than the same half through another one."""
    statistics = Statistics(RATE, 2 * LENGTH)
    chains = {
        "pedalboard-builtin:Distortion": {"drive_db": 0.7},
        "pedalboard-builtin:Reverb": {"wet_level": 0.8, "dry_level": 0.1, "room_size": 0.9},
        "pedalboard-builtin:Chorus": {"mix": 1.0, "depth": 0.8},
    }
    halves = [guitar[..., :60_000], guitar[..., 60_000:]]
    first = torch.cat([statistics(_cut(wet(halves[0], name, **p))) for name, p in chains.items()])
    second = torch.cat([statistics(_cut(wet(halves[1], name, **p))) for name, p in chains.items()])
    scale = torch.cat([first, second]).std(dim=0) + 1e-3
    distances = torch.cdist(first / scale, second / scale)
    assert distances.argmin(dim=1).tolist() == [0, 1, 2]


def _cut(audio):
    return torch.nn.functional.pad(audio[0], (0, 2 * LENGTH))[:, : 2 * LENGTH]


@pytest.mark.parametrize("preset", ["statistics", "paper"])
def test_windows_too_short_to_hear_anything_are_refused(preset):
    with pytest.raises(AudioError, match="windows of"):
        Encoder(preset, RATE, 1024)


def test_an_unknown_preset_is_refused():
    with pytest.raises(WeightsError, match="known are statistics, paper"):
        Encoder("papers")


def test_annealing_rises_in_cycles():
    values = [annealed(p) for p in np.linspace(0, 0.999, 400)]
    assert values[0] == 0.0
    assert max(values) == 1.0
    assert sum(later < earlier for earlier, later in pairwise(values)) == 3  # four cycles
    assert 0.45 < np.mean(np.array(values) == 1.0) < 0.55
