"""Refinement: from several answers the nearest, within its renders, and nothing that is not confirmed."""

from __future__ import annotations

import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.matching.refinement import refined
from blackbox_grad_adapters.style_matching.networks import shipped

RATE = 24_000


@pytest.fixture(scope="module")
def encoder():
    return shipped.encoder()


@pytest.fixture(scope="module")
def path():
    return EffectPath("pedalboard-builtin:Distortion")


@pytest.fixture(scope="module")
def guitar():
    """Two parts of the bundled guitar, which overlap: its first and second half hardly sound alike. `[1, T]` each."""
    audio, rate = audio_files.example()
    mono = torch.from_numpy(audio_files.resample(audio[:1], rate, RATE))
    return mono[:, :60_000], mono[:, 20_000:80_000]


def driven(path, x, drive):
    with torch.no_grad():
        return path(x[None], torch.tensor([[drive]]))[0]


@pytest.mark.parametrize("truth", [0.5, 0.8])
def test_the_answer_that_comes_nearest_is_where_it_begins(encoder, path, guitar, truth):
    x, other = guitar
    reference, wrong, variance = driven(path, other, truth), torch.tensor([0.02]), torch.tensor([1e-4])
    common = encoder, path, x, reference, wrong, variance
    alone, found = refined(*common, 4), refined(*common, 4, others=torch.tensor([[0.95], [truth], [0.3]]))
    assert abs(float(found) - truth) < 0.05
    assert abs(float(alone) - truth) > 0.2  # so near to a wrong answer it finds no better one


def test_an_answer_that_is_right_stays_about_right(encoder, path, guitar):
    x, other = guitar
    right = torch.tensor([0.6])
    found = refined(encoder, path, x, driven(path, other, 0.6), right, torch.tensor([0.02]), 30, others=torch.tensor([[0.1]]))
    assert abs(float(found) - 0.6) < 0.15


@pytest.mark.parametrize("renders", [0, 1, 2, 5])
def test_few_renders_are_enough_to_answer(encoder, path, guitar, renders):
    x, other = guitar
    p = torch.tensor([0.4])
    found = refined(
        encoder, path, x, driven(path, other, 0.5), p, torch.tensor([0.05]), renders, others=torch.tensor([[0.5], [0.9]])
    )
    assert found.shape == (1,)
    assert 0.0 <= float(found) <= 1.0
