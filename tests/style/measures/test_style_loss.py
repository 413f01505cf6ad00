"""The loss of controllers: 0 at the truth, 1 at the dry input, and each distance with its weight."""

import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES
from blackbox_grad_adapters.style_matching.measures.style_loss import MRSTFT, StyleLoss

RATE = 24_000
ALL = dict.fromkeys((MRSTFT, *JUDGES), 1.0)


@pytest.fixture(scope="module")
def dry():
    """`[3, 1, 32768]` of the bundled guitar."""
    audio, _ = audio_files.example()
    return torch.from_numpy(audio[0, : 3 * 32_768].reshape(3, 1, 32_768).copy())


def test_it_is_0_at_the_truth_and_1_at_the_dry_input(dry):
    truth = torch.tanh(6 * dry) / 2
    loss = StyleLoss(RATE, ALL).relative_to(dry, truth)
    targets = loss.targets(truth)
    assert (loss(truth, *targets) == 0).all()
    assert float(loss(dry, *targets).mean()) == pytest.approx(1.0, rel=1e-5)
    assert (loss(torch.tanh(3 * dry) / 2, *targets) > 0).all()


@pytest.mark.parametrize("name", list(JUDGES))
def test_a_judge_alone_is_that_judge(dry, name):
    truth = torch.tanh(6 * dry) / 2
    loss = StyleLoss(RATE, {MRSTFT: 0.0, name: 3.0})
    torch.testing.assert_close(loss(dry, *loss.targets(truth)), JUDGES[name](dry, truth, RATE))


def test_a_mean_is_weighted(dry):
    truth = torch.tanh(6 * dry) / 2
    both = StyleLoss(RATE, {"spectrum": 3.0, "time": 1.0})
    terms = both.terms(dry, *both.targets(truth))
    torch.testing.assert_close(both(dry, *both.targets(truth)), (3 * terms["spectrum"] + terms["time"]) / 4)


def test_targets_are_those_of_each_item(dry):
    truth = torch.tanh(6 * dry) / 2
    loss = StyleLoss(RATE, ALL)
    whole, targets = loss(dry, *loss.targets(truth)), loss.targets(truth)
    for i in range(3):
        torch.testing.assert_close(
            loss(dry[i : i + 1], *(part[i : i + 1] for part in targets)), whole[i : i + 1], rtol=1e-3, atol=1e-4
        )


def test_an_unknown_distance_is_named():
    with pytest.raises(ValueError, match=r"no distance loud; known are mrstft, spectrum, dynamics, time"):
        StyleLoss(RATE, {"loud": 1.0})
