"""Losses: their common promises, names, sums, and torch loss functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from blackbox_grad import InProcessHost, match
from blackbox_grad.audio_files import example
from blackbox_grad.errors import AudioError, MissingDependencyError
from blackbox_grad.losses import Mel, MultiResolutionSTFT, Tones, Waveform, loss_for, loss_name, loss_names
from blackbox_grad.testing import LOSS_LAWS, check_loss

RATE = 44100.0
NOISE = torch.randn(3, 2, 4096, generator=torch.Generator().manual_seed(0))
TARGET, BATCH = NOISE[0], NOISE[1:]


@pytest.mark.parametrize("law", [law for law, _ in LOSS_LAWS])
@pytest.mark.parametrize("name", [*loss_names(), "mrstft + 0.5*l1"])
def test_every_loss_keeps_every_promise(name: str, law: str) -> None:
    assert check_loss(name, laws=[law]) == [law]


@pytest.mark.parametrize("loss", [torch.nn.L1Loss(), torch.nn.functional.smooth_l1_loss], ids=loss_name)
def test_a_torch_loss_keeps_every_promise(loss) -> None:  # type: ignore[no-untyped-def]
    assert check_loss(loss)


@pytest.mark.parametrize("name", loss_names())
def test_every_loss_counts_level(name: str) -> None:
    audio, rate = example()
    target = torch.from_numpy(audio[:1, 30000:52050].copy())
    losses = loss_for(name, target, rate)(torch.stack([target, 0.9 * target, 0.5 * target, torch.zeros_like(target)]))
    assert losses.diff().min() > 0


# by name


def test_a_sum_weighs_its_parts() -> None:
    whole = loss_for("mrstft + 0.5*mel", TARGET, RATE)
    parts = loss_for("mrstft", TARGET, RATE)(BATCH) + 0.5 * loss_for("mel", TARGET, RATE)(BATCH)
    assert torch.allclose(whole(BATCH), parts)


def test_third_parties_losses_are_found(third_party: str) -> None:
    assert "third-party" in loss_names()
    expected = 2.0 * (BATCH - TARGET).abs().mean((1, 2))
    for name in ("third-party", "third_party_loss.Doubled"):
        assert torch.allclose(loss_for(name, TARGET, RATE)(BATCH), expected)
        assert torch.allclose(loss_for(f"2*{name} + 0.5*{name}", TARGET, RATE)(BATCH), 2.5 * expected)


def test_match_takes_a_third_partys_loss(third_party: str) -> None:
    audio = 0.2 * TARGET.numpy()
    found = match("reference:gain", audio, 0.5 * audio, RATE, loss="third-party", renders=60, host=InProcessHost())
    assert found.loss_name == "third-party"
    expected = 2.0 * np.abs(found.audio - 0.5 * audio).mean()
    assert found.loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("mrsft", "no loss 'mrsft'; did you mean 'mrstft'.*Sums are written as"),
        ("mel + 0.5*envelop", "no loss 'envelop'; did you mean 'envelope'"),
        ("0*mel", "the weight '0' of 'mel' must be a positive number"),
        ("x*mel", "the weight 'x' of 'mel' must be a positive number"),
        ("torch.nn.NoLoss", "no loss 'torch.nn.NoLoss'"),
        (3, "loss=3 is not a loss; give a name .*mrstft.*, a class of FeatureLoss, or a function"),
        (torch.nn.Linear, "Linear is not a FeatureLoss, and cannot be made without arguments"),
        (Waveform(TARGET, RATE), "has its target already; give its class, Waveform"),
    ],
)
def test_what_is_no_loss_is_refused(wrong: object, said: str) -> None:
    with pytest.raises(AudioError, match=said):
        loss_for(wrong, TARGET, RATE)  # type: ignore[arg-type]


def test_a_loss_of_a_package_that_is_not_there_says_what_to_install() -> None:
    with pytest.raises(
        MissingDependencyError,
        match="loss 'lossless.Loss' needs lossless, which is not installed; install it from where its makers say",
    ):
        loss_for("lossless.Loss", TARGET, RATE)


def test_a_loss_too_long_for_the_recording_says_what_to_choose() -> None:
    for loss, least in ((MultiResolutionSTFT, 512), (Mel, 64)):
        with pytest.raises(AudioError, match=rf"needs {least} samples or more, got 10; .* choose 'l1'"):
            loss_for(loss, TARGET[:, :10], RATE)


def test_reports_call_a_loss_by_its_name() -> None:
    losses = ["mel + l1", Mel, torch.nn.L1Loss(), torch.nn.functional.mse_loss]
    assert [loss_name(loss) for loss in losses] == ["mel + l1", "Mel", "L1Loss", "mse_loss"]  # type: ignore[arg-type]


# a torch loss function


def per_item(y: Tensor, target: Tensor) -> Tensor:
    return (y - target).square().mean((1, 2))


@pytest.mark.parametrize("loss", [per_item, torch.nn.MSELoss(), torch.nn.MSELoss, "torch.nn.MSELoss"])
def test_a_function_is_one_residual_an_item(loss) -> None:  # type: ignore[no-untyped-def]
    made = loss_for(loss, TARGET, RATE)
    expected = (BATCH - TARGET).square().mean((1, 2))
    assert torch.allclose(made(BATCH), expected)
    assert torch.allclose(made.residuals(BATCH), expected[:, None])
    assert made(BATCH[:0]).shape == (0,)


def test_functions_can_be_parts_of_a_sum() -> None:
    found = loss_for("2*torch.nn.L1Loss + l1", TARGET, RATE)(BATCH)
    assert torch.allclose(found, 2 * (BATCH - TARGET).abs().mean((1, 2)) + loss_for("l1", TARGET, RATE)(BATCH))


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda y, target: 0.0, "returned float for one item"),
        (lambda y, target: (y - target).abs().sum(2), r"returned \[1, 2\] torch.float32 for one item"),
        (lambda y, target: (y != target).sum(), r"returned \[\] torch.int64 for one item"),
        (lambda y, target: (y - target).sum() / 0.0, "is nan for equal recordings; it must be 0"),
        (lambda y, target: 1.0 + (y - target).abs().mean(), "is 1 for equal recordings"),
        (lambda y, target: -(y * target).mean(), "is negative, -"),
    ],
)
def test_a_function_that_is_no_distance_is_refused(returned, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(AudioError, match=f"the loss '<lambda>' {said}"):
        loss_for(returned, TARGET, RATE)


def test_a_function_that_is_negative_elsewhere_is_refused_there() -> None:
    loss = loss_for(lambda y, target: (target - y).sum(), TARGET, RATE)
    with pytest.raises(AudioError, match="the loss '<lambda>' is negative, -"):
        loss(TARGET[None] + 1.0)


# tones


def harmonics(hertz: float, slope: float) -> Tensor:
    """A tone of so many hertz, whose harmonics fall by so many decibels an octave, `[1, T]`."""
    time = torch.arange(22050, dtype=torch.float64) / RATE
    waves = [n ** (-slope / 6.02) * torch.sin(2 * torch.pi * hertz * n * time + n) for n in range(1, int(12000.0 / hertz))]
    return 0.1 * torch.stack(waves).sum(0)[None].float()


def test_tones_hears_pitch_timbre_and_the_course_of_the_level() -> None:
    target = harmonics(220.0, 6.0)
    fading = target * torch.linspace(1.0, 0.0, target.shape[1])
    others = torch.stack([harmonics(222.0, 6.0), harmonics(220.0, 9.0), fading, target])
    pitch, timbre, course, same = loss_for("tones", target, RATE)(others).tolist()
    assert min(pitch, timbre, course) > 0.05
    assert same < 1e-4


@pytest.mark.parametrize("semitones", [2, 3, 4])
def test_a_part_of_tones_is_almost_blind_to_pitch(semitones: int) -> None:
    """Beside another timbre, it hears less of a pitch some semitones away than a spectrum does."""
    target, timbre, pitch = harmonics(220.0, 6.0), harmonics(220.0, 12.0), harmonics(220.0 * 2 ** (semitones / 12), 6.0)
    tones, mel = Tones(target, RATE), Mel(target, RATE)

    def ratio(features: Callable[[Tensor], Tensor]) -> float:
        with torch.no_grad():
            here, other, moved = (features(x[None]) for x in (target, timbre, pitch))
        return float((moved - here).abs().mean() / (other - here).abs().mean())

    assert ratio(tones.shape) < 0.8 * ratio(mel.features)
