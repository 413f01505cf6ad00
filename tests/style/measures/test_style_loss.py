"""The loss of controllers: 0 at the truth, 1 at the dry input, and each distance with its weight."""

import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES
from blackbox_grad_adapters.style_matching.measures.style_loss import AMOUNT, DISTANCES, MISSED, StyleLoss

RATE = 24_000
ALL = dict.fromkeys(DISTANCES, 1.0)


@pytest.fixture(scope="module")
def dry():
    """`[3, 1, 32768]` of the bundled guitar."""
    audio, _ = audio_files.example()
    return torch.from_numpy(audio[0, : 3 * 32_768].reshape(3, 1, 32_768).copy())


def test_it_is_0_at_the_truth_and_1_at_the_dry_input(dry):
    truth = torch.tanh(6 * dry) / 2
    loss = StyleLoss(RATE, ALL).relative_to(dry, truth)
    targets = loss.targets(dry, truth)
    assert (loss(truth, *targets) == 0).all()
    assert float(loss(dry, *targets).mean()) == pytest.approx(1.0, rel=1e-5)
    assert (loss(torch.tanh(3 * dry) / 2, *targets) > 0).all()


@pytest.mark.parametrize("name", list(JUDGES))
def test_a_judge_alone_is_that_judge(dry, name):
    truth = torch.tanh(6 * dry) / 2
    loss = StyleLoss(RATE, {"mrstft": 0.0, name: 3.0})
    torch.testing.assert_close(loss(dry, *loss.targets(dry, truth)), JUDGES[name](dry, truth, RATE))


def test_a_mean_is_weighted(dry):
    truth = torch.tanh(6 * dry) / 2
    both = StyleLoss(RATE, {"spectrum": 3.0, "time": 1.0})
    terms = both.terms(dry, *both.targets(dry, truth))
    torch.testing.assert_close(both(dry, *both.targets(dry, truth)), (3 * terms["spectrum"] + terms["time"]) / 4)


def test_targets_are_those_of_each_item(dry):
    truth = torch.tanh(6 * dry) / 2
    loss = StyleLoss(RATE, ALL)
    whole, targets = loss(dry, *loss.targets(dry, truth)), loss.targets(dry, truth)
    for i in range(3):
        torch.testing.assert_close(
            loss(dry[i : i + 1], *(part[i : i + 1] for part in targets)), whole[i : i + 1], rtol=1e-3, atol=1e-4
        )


def test_an_unknown_distance_is_named():
    with pytest.raises(ValueError, match=r"no distance loud; known are mrstft, spectrum, dynamics, time, amount, missed"):
        StyleLoss(RATE, {"loud": 1.0})


def test_too_little_of_an_effect_is_as_wrong_as_too_much(dry):
    truth, more, less = (torch.tanh(drive * dry) / 2 for drive in (6, 24, 1.5))
    loss = StyleLoss(RATE, {AMOUNT: 1.0}).relative_to(dry, truth)
    targets = loss.targets(dry, truth)
    for y in (more, less):
        assert (loss(y, *targets) > loss((y + truth) / 2, *targets)).all()


def test_an_audible_effect_is_missed_by_an_inaudible_result_only(dry):
    truth = torch.tanh(12 * dry) / 2
    loss = StyleLoss(RATE, {MISSED: 1.0}).relative_to(dry, truth)
    targets = loss.targets(dry, truth)
    assert (loss(dry, *targets) > 0).all()
    for y in (truth, torch.tanh(24 * dry) / 2):
        assert (loss(y, *targets) == 0).all()
    assert (loss(truth, *loss.targets(dry, dry)) == 0).all()


def test_effects_that_nobody_hears_leave_a_finite_loss(dry):
    loss = StyleLoss(RATE, {AMOUNT: 1.0, MISSED: 1.0}).relative_to(dry, dry)
    truth = torch.tanh(12 * dry) / 2
    assert (loss(dry, *loss.targets(dry, truth)) < 1e3).all()
