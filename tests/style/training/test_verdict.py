"""A controller that has learnt nothing is told from one that has learnt something."""

from __future__ import annotations

import pytest
import torch

from blackbox_grad_adapters.style_matching.training.verdict import LEVEL, verdict

PAIRS, JUDGED, PARAMETERS = 256, 64, 5


def trial(seed, *, explained=0.0, spread=1.0, better=0.0, fixed=False, shift=0.0):
    """The verdict on answers that explain this share of one parameter, with sounds that are nearer than the middle's by a factor.

    Args:
        spread: of the answers that know nothing; without any, the answers are those that know something, 20 times nearer to 0.5.
        shift: logarithm of the distance of the middle over that of the dry input.
    """
    rng = torch.Generator().manual_seed(seed)
    p = torch.rand(PAIRS, PARAMETERS, generator=rng)
    if fixed:
        p = p[:1].expand(PAIRS, -1)
    clean = torch.rand(PAIRS, generator=rng) < 0.1
    found = 0.5 + 0.05 * spread * torch.randn(PAIRS, PARAMETERS, generator=rng)
    if explained:
        noise = (explained - explained**2) ** 0.5 * torch.randn(PAIRS, generator=rng) / 12**0.5
        found[:, 0] = 0.5 + (explained * (p[:, 0] - 0.5) + noise) / (1 if spread else 20)
    dry = torch.exp(0.8 * torch.randn(JUDGED, generator=rng))
    middle = dry * torch.exp(0.3 * torch.randn(JUDGED, generator=rng) + shift)
    sound = middle * torch.exp(0.05 * torch.randn(JUDGED, generator=rng) - better)
    return verdict(found.clamp(0, 1), p, clean, sound=sound, middle=middle, dry=dry, fixed=fixed)


def test_answers_that_know_nothing_pass_no_more_often_than_said():
    passed = sum(trial(seed)["learnt"] for seed in range(300))
    assert passed <= 300 * LEVEL + 4 * (300 * LEVEL) ** 0.5


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_a_middle_that_is_better_or_worse_than_dry_is_no_knowledge(shift):
    assert sum(trial(seed, shift=shift)["learnt"] for seed in range(100)) <= 5


def test_answers_next_to_the_middle_are_nothing_though_on_the_right_side_of_it():
    assert sum(trial(seed, explained=0.4, spread=0.0)["learnt"] for seed in range(20)) == 0


@pytest.mark.parametrize("options", [{"explained": 0.4}, {"better": 0.5}, {"better": 0.5, "fixed": True, "shift": -0.2}])
def test_who_has_learnt_one_parameter_or_a_nearer_sound_has_learnt(options):
    found = [trial(seed, **options) for seed in range(20)]
    assert all(one["learnt"] for one in found)
    assert max(one["chance"] for one in found) < LEVEL


def test_the_middle_itself_has_learnt_nothing():
    p, distance = torch.rand(40, 2), torch.rand(10) + 0.1
    sounds = {"sound": distance, "middle": distance, "dry": 2 * distance}
    found = verdict(torch.full_like(p, 0.5), p, torch.zeros(40, dtype=torch.bool), **sounds, fixed=False)
    assert found == {"learnt": False, "chance": 1.0}
