"""Each judge hears its own side of a sound, and not when something happens."""

import numpy as np
import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.effect_path import normalise
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES
from blackbox_grad_adapters.style_matching.measures.modulation import RATES, depths
from blackbox_grad_adapters.style_matching.measures.spectral import multi_resolution_stft

RATE = 24_000


@pytest.fixture(scope="module")
def dry():
    """`[2, 1, 65536]`: two parts of the bundled guitar at the training's rate and level."""
    audio, rate = audio_files.example()
    mono = torch.from_numpy(audio_files.resample(audio[:1], rate, RATE))
    return normalise(torch.stack([mono[:, :65_536], mono[:, -65_536:]]))


@pytest.fixture(scope="module")
def bursts():
    """`[1, 1, 65536]`: short noises with pauses, as syllables and drums have."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(65_536, generator=generator)
    time = torch.arange(65_536) / RATE
    starts = torch.tensor([0.1, 0.83, 1.3, 2.21])
    return normalise((x * sum(torch.where(time >= s, torch.exp(-(time - s) / 0.03), 0.0) for s in starts))[None, None])


def echo(x, seconds, gain=0.6, feedback=0.5, rate=RATE):
    lag, y = round(seconds * rate), x.clone()
    for n in range(1, 8):
        if n * lag < x.shape[-1]:
            y[..., n * lag :] += gain * feedback ** (n - 1) * x[..., : -n * lag]
    return normalise(y)


def tremolo(x, phase=0.0, frequency=5.0, depth=0.8):
    time = torch.arange(x.shape[-1]) / RATE
    return normalise(x * (1 - depth / 2 + depth / 2 * torch.sin(2 * torch.pi * frequency * time + phase)))


def darker(x):
    return normalise(torch.nn.functional.avg_pool1d(x, 5, 1, 2))


def squashed(x):
    return normalise(torch.tanh(12 * x))


@pytest.mark.parametrize("judge", JUDGES.values(), ids=list(JUDGES))
@pytest.mark.parametrize("change", [echo, tremolo, darker, squashed])
def test_equal_sounds_are_at_0_and_others_are_not(dry, judge, change):
    y = change(dry, 0.3) if change is echo else change(dry)
    assert (judge(y, y, RATE) == 0).all()
    assert (judge(y, dry, RATE) > 0).all()
    torch.testing.assert_close(judge(y, dry, RATE), judge(dry, y, RATE))


@pytest.mark.parametrize("judge", JUDGES.values(), ids=list(JUDGES))
def test_items_do_not_matter_to_each_other(dry, judge):
    y = echo(dry, 0.2)
    alone = torch.cat([judge(y[i : i + 1], dry[i : i + 1], RATE) for i in range(2)])
    torch.testing.assert_close(judge(y, dry, RATE), alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("sound", ["dry", "bursts"])
def test_an_echo_at_a_slightly_other_time_is_nearly_the_right_one(sound, request):
    x, time = request.getfixturevalue(sound)[:1], JUDGES["time"]
    truth, near = echo(x, 0.300), echo(x, 0.318)
    assert (time(near, truth, RATE) < 0.7 * time(x, truth, RATE)).all()


def test_mrstft_does_not_know_it(dry):
    truth, near = echo(dry[:1], 0.300), echo(dry[:1], 0.318)
    assert (multi_resolution_stft(near, truth) > 0.9 * multi_resolution_stft(dry[:1], truth)).all()


def test_an_echo_at_a_far_time_is_another_one(bursts):
    truth, time = echo(bursts, 0.300), JUDGES["time"]
    assert (time(echo(bursts, 0.060), truth, RATE) > 2 * time(echo(bursts, 0.318), truth, RATE)).all()


def test_a_missing_echo_is_worse_than_one_at_a_wrong_time_on_average(bursts):
    """Listeners gave a wrong time 81 and 62 points, and a missing echo 44."""
    truth, time = echo(bursts, 0.300), JUDGES["time"]
    wrong = [time(echo(bursts, seconds), truth, RATE) for seconds in (0.15, 0.2, 0.25, 0.35, 0.4, 0.5, 0.6)]
    assert torch.stack(wrong).mean() < 0.9 * time(bursts, truth, RATE).mean()


def test_the_phase_of_a_tremolo_is_inaudible_and_its_rate_is_audible(dry):
    truth = tremolo(dry, 0.0)
    time = JUDGES["time"]
    assert (time(tremolo(dry, 2.0), truth, RATE) < 0.5 * time(dry, truth, RATE)).all()
    assert (time(tremolo(dry, 2.0), truth, RATE) < 0.5 * time(tremolo(dry, 0.0, frequency=18.0), truth, RATE)).all()


@pytest.mark.parametrize(("judge", "moved"), [("spectrum", darker), ("dynamics", squashed)])
def test_each_judge_hears_what_it_is_for(dry, judge, moved):
    """More of it is farther, and half of it is nearer to the whole than nothing is."""
    whole, half = moved(dry), normalise(dry + moved(dry) * (dry.square().mean() / moved(dry).square().mean()).sqrt())
    assert (JUDGES[judge](half, whole, RATE) < JUDGES[judge](dry, whole, RATE)).all()


@pytest.mark.parametrize("judge", ["spectrum", "dynamics"])
@pytest.mark.parametrize("gain", [0.5, 0.25])
def test_a_level_is_heard_in_decibels(judge, gain):
    """Of a sound without quiet bands; near the floor less is heard of it."""
    noise = 0.1 * torch.randn(1, 1, 65_536, generator=torch.Generator().manual_seed(0))
    moved = JUDGES[judge].statistics(noise * gain, RATE)[0] - JUDGES[judge].statistics(noise, RATE)[0]
    torch.testing.assert_close(moved, torch.full_like(moved, 20 * np.log10(gain)), rtol=0.05, atol=0.0)


def test_the_depth_of_a_modulation_is_its_root_mean_square():
    time = torch.arange(400) * 0.01
    for rate in (1.0, 4.0, 16.0):
        found = depths(3.0 * torch.sin(2 * torch.pi * rate * time)[None, None] - 30.0, 0.01)[0, 0]
        assert float(found.square().sum().sqrt()) == pytest.approx(3.0 / 2**0.5, rel=0.05)
        best = int(found.argmax())
        assert RATES[best] * 0.7 <= rate <= RATES[best + 1] * 1.4


@pytest.mark.parametrize("judge", JUDGES.values(), ids=list(JUDGES))
@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 96_000])
@pytest.mark.parametrize("seconds", [0.1, 0.35, 3.0])
@pytest.mark.parametrize("sound", ["silence", "noise", "constant"])
def test_any_length_rate_and_sound_gives_numbers(judge, rate, seconds, sound):
    count = round(rate * seconds)
    x = {
        "silence": torch.zeros(1, 2, count),
        "noise": torch.randn(1, 2, count, generator=torch.Generator().manual_seed(0)),
        "constant": torch.full((1, 2, count), 0.3),
    }[sound]
    assert all(torch.isfinite(part).all() for part in judge.statistics(x, rate))
    assert all(torch.isfinite(part).all() for part in judge.statistics(x.double(), rate))


@pytest.mark.parametrize("judge", JUDGES.values(), ids=list(JUDGES))
@pytest.mark.parametrize("rate", [8_000, 24_000, 32_768, 44_100])
def test_sounds_of_different_lengths_have_statistics_of_one_size(judge, rate):
    noise = torch.randn(1, 1, 3 * rate, generator=torch.Generator().manual_seed(0))
    sizes = {
        tuple(part.shape for part in judge.statistics(noise[..., : round(seconds * rate)], rate))
        for seconds in (0.1, 0.5, 0.75, 1.0, 1.001, 1.4, 2.0, 2.001, 3.0)
    }
    assert len(sizes) == 1


@pytest.mark.parametrize("judge", JUDGES.values(), ids=list(JUDGES))
def test_no_judge_hears_what_is_too_short_or_misshapen(judge):
    with pytest.raises(AudioError, match="longer recording"):
        judge.statistics(torch.zeros(1, 1, 100), RATE)
    with pytest.raises(AudioError, match=r"\[B, C, T\]"):
        judge.statistics(torch.zeros(1, 24_000), RATE)


@pytest.mark.parametrize("judge", JUDGES.values(), ids=list(JUDGES))
def test_a_judge_can_be_a_loss(dry, judge):
    x = dry.clone().requires_grad_()
    judge(torch.tanh(3 * x), echo(dry, 0.2), RATE).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0
