"""The controller: starts in the middle, and comes back from the ends."""

from __future__ import annotations

import statistics

import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.measures.spectral import distance, spectra
from blackbox_grad_adapters.style_matching.networks.controller import PRESETS, Controller, into_box
from blackbox_grad_adapters.style_matching.training.settings_stage import candidates_error

DELAY = "dawdreamer:http://drobilla.net/plugins/mda/Delay"


@pytest.mark.parametrize("preset", PRESETS)
def test_it_starts_in_the_middle_whatever_it_hears(preset):
    controller = Controller(16, 5, PRESETS[preset])
    assert (controller(10 * torch.randn(7, 16), torch.randn(7, 16)) == 0.5).all()


def test_settings_lie_in_the_box():
    controller = Controller(16, 5)
    torch.nn.init.normal_(controller.head.weight)
    p = controller(torch.randn(50, 16), torch.randn(50, 16))
    assert p.min() == 0.0
    assert p.max() == 1.0


def test_inside_the_box_the_gradient_is_passed_on():
    u = torch.tensor([[0.0, 0.3, 1.0]], requires_grad=True)
    into_box(u).backward(torch.tensor([[1.0, -2.0, 3.0]]))
    assert u.grad.tolist() == [[1.0, -2.0, 3.0]]


@pytest.mark.parametrize("gradient", [-1.0, 0.0, 1.0])
def test_outside_the_box_descent_leads_back(gradient):
    u = torch.tensor([[-0.5, 1.5]], requires_grad=True)
    into_box(u).backward(torch.full((1, 2), gradient))
    assert u.grad[0, 0] < 0  # descent goes up
    assert u.grad[0, 1] > 0


@pytest.mark.slow
@pytest.mark.plugins
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_saturated_on_delay_it_comes_out(end):
    """All outputs are far beyond an end. The loss is of the sound only, its gradient estimated through the plug-in."""
    torch.manual_seed(0)
    path = EffectPath(
        DELAY, parameters=["FX Mix", "Feedback"], estimator="spsa:samples=2,sides=1,directions=orthogonal,step=0.05"
    )
    audio, rate = audio_files.example()
    x = torch.from_numpy(audio_files.resample(audio[:1], rate, 24_000))[None, :, :32_768]
    with torch.no_grad():
        wanted = spectra(path(x, torch.tensor([[0.5, 0.5]])))
    controller = Controller(4, 2, dropout=0.0)
    torch.nn.init.constant_(controller.head.bias, 3.0 * end - 1.0)  # 2 or -1
    optimiser = torch.optim.Adam(controller.parameters(), 1e-2)
    e = torch.randn(2, 1, 4)
    settings, losses = [], []
    for _ in range(60):
        p = controller(*e)
        loss = path.loss(x, p, lambda y: distance(y, *wanted))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        settings.append(p.detach())
        losses.append(loss.item())
    # Feedback goes on wandering, as the mix hides it: what counts is where it is on average
    p = torch.cat(settings[30:]).mean(0)
    assert ((p > 0.1) & (p < 0.9)).all(), p
    assert statistics.median(losses[30:]) < 0.5 * losses[0]


def test_a_saved_one_answers_the_same(tmp_path):
    torch.manual_seed(0)
    controller = Controller(16, 3, PRESETS["paper"]).eval()
    torch.nn.init.normal_(controller.head.weight, std=0.05)
    controller.save(tmp_path / "c.safetensors", {"effect": "x"})
    loaded = Controller.load(tmp_path / "c.safetensors")
    e = torch.randn(2, 9, 16)
    assert torch.allclose(loaded(*e), controller(*e), atol=5e-3)
    assert loaded.header["effect"] == "x"
    assert loaded.header["dimensions"] == {"latent": 16, "parameters": 3, "widths": [128, 128, 64, 32], "answers": 1}


def test_the_settings_are_those_of_the_most_likely_answer():
    torch.manual_seed(0)
    controller = Controller(4, 3, answers=5).eval()
    first, second = torch.randn(7, 4), torch.randn(7, 4)
    found = controller.candidates(first, second)
    assert found.p.shape == found.spread.shape == (7, 5, 3)
    torch.testing.assert_close(found.likely.exp().sum(dim=1), torch.ones(7))
    chosen = controller(first, second)
    for item, p in enumerate(chosen):
        assert torch.equal(p, found.p[item, int(found.likely[item].argmax())])
    torch.testing.assert_close(found.mean(), torch.einsum("bk,bkp->bp", found.likely.exp(), found.p))


def test_one_answer_is_certain():
    found = Controller(4, 3).eval().candidates(torch.randn(2, 4), torch.randn(2, 4))
    assert torch.equal(found.chosen(), torch.full((2, 3), 0.5))
    assert torch.equal(found.mean(), found.chosen())


def test_where_two_settings_fit_one_of_them_is_answered_and_not_their_mean():
    """The likelihood of several answers finds both; the squared error of one answer is least in the middle."""
    torch.manual_seed(1)
    embeddings = torch.randn(256, 2, 4)
    p = torch.where(torch.rand(256, 1) < 0.7, 0.2, 0.8)
    answers = {}
    for count in (1, 3):
        controller = Controller(4, 1, (16,), 0.0, answers=count)
        optimiser = torch.optim.Adam(controller.parameters(), 0.02)
        for _ in range(200):
            optimiser.zero_grad()
            candidates_error(controller.candidates(*embeddings.unbind(1)), p, torch.zeros(256)).backward()
            optimiser.step()
        answers[count] = controller.eval()(*torch.randn(64, 2, 4).unbind(1))
    off = {count: torch.minimum((a - 0.2).abs(), (a - 0.8).abs()).mean() for count, a in answers.items()}
    assert off[3] < 0.5 * off[1]
    assert off[3] < 0.06


def test_several_answers_come_back_from_a_file(tmp_path):
    torch.manual_seed(0)
    controller = Controller(8, 2, answers=3).eval()
    controller.save(tmp_path / "c.safetensors", {"effect": "x"})
    loaded = Controller.load(tmp_path / "c.safetensors")
    first, second = torch.randn(5, 8), torch.randn(5, 8)
    for a, b in zip(loaded.candidates(first, second), controller.candidates(first, second), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2)
