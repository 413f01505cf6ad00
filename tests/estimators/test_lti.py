"""`LTI` is exact for filters, and says why another effect is not one."""

from __future__ import annotations

import pytest
import torch

import blackbox_grad as bg
from blackbox_grad.audio_files import example
from blackbox_grad.errors import EstimatorError
from blackbox_grad_backends.reference import differentiable

MDA = "dawdreamer:http://drobilla.net/plugins/mda/"


def recordings(batch: int = 2, samples: int = 16384) -> torch.Tensor:
    """Real stereo audio `[B, 2, T]`."""
    music, _ = example()
    return torch.stack(
        [torch.from_numpy(music[:, at : at + samples].copy()) for at in range(20000, 20000 + batch * 40000, 40000)]
    )


def gradient(layer, x, p, cotangent):
    x = x.detach().requires_grad_()
    (found,) = torch.autograd.grad((layer(x, p) * cotangent).sum(), x)
    return found


# exact


@pytest.mark.parametrize("samples", [1, 2, 7, 1000, 4099])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("effect", ["gain", "biquad", "delay"])
def test_it_is_the_gradient_of_autograd(effect, channels, samples):
    torch.manual_seed(samples)
    layer = bg.DifferentiableEffect(f"reference:{effect}", audio_gradient="lti", host=bg.InProcessHost())
    x, weight = torch.randn(2, 4, channels, samples)
    p = torch.rand(4, len(layer.parameter_space))
    p[2] = p[1]
    found, wanted = gradient(layer, x, p, weight), gradient(differentiable(effect), x, p, weight)
    assert (found - wanted).norm() <= 3e-6 * wanted.norm()


FILTERS = [
    pytest.param("pedalboard-builtin:Reverb"),
    pytest.param("pedalboard-builtin:Delay"),
    pytest.param("pedalboard-builtin:PeakFilter | pedalboard-builtin:Invert | pedalboard-builtin:Reverb"),
    *(
        pytest.param(address, marks=pytest.mark.plugins)
        for address in (
            "pedalboard:ZamEQ2.vst3",  # mono
            "pedalboard:ZamHeadX2.vst3",  # crosstalk
            f"{MDA}Ambience",  # clears its memory where its input is silent
            f"{MDA}Delay",
            f"{MDA}Image",
            f"{MDA}TestTone",  # makes a sound of its own
        )
    ),
]


def dot_product_error(layer) -> float:
    """Relative error of `⟨Jv, w⟩ = ⟨v, Jᵀw⟩`, for two recordings at different settings."""
    torch.manual_seed(3)
    x = recordings()
    p = 0.1 + 0.8 * torch.rand(len(x), len(layer.parameter_space))
    v = 0.1 * torch.randn_like(x)
    jv = (layer(x + v, p) - layer(x, p)).double()
    w = jv + jv.std() * torch.randn_like(jv)  # not orthogonal to jv, or the product would be nearly 0
    forward, backward = (jv * w).sum(), (v.double() * gradient(layer, x, p, w.float()).double()).sum()
    return float((forward - backward).abs() / forward.abs())


@pytest.mark.parametrize("address", FILTERS)
def test_the_dot_product_test_on_real_effects(address):
    assert dot_product_error(bg.DifferentiableEffect(address, audio_gradient="lti")) < 1e-5
    assert dot_product_error(bg.DifferentiableEffect(address, audio_gradient="straight-through")) > 1e-2


def test_the_loss_mode_has_the_gradient_of_the_loss():
    layer = bg.DifferentiableEffect("reference:biquad", audio_gradient="lti")
    truth = differentiable("biquad")
    x, target, p = recordings(3), recordings(3).flip(-1), torch.full((3, 3), 0.7)

    def loss(y, t):
        return (y - t).square().mean((1, 2))

    found = x.clone().requires_grad_()
    (2 * layer.loss(found, p, loss, target)).backward()
    wanted = x.clone().requires_grad_()
    (2 * loss(truth(wanted, p), target).mean()).backward()
    torch.testing.assert_close(found.grad, wanted.grad, rtol=1e-4, atol=1e-5 * float(wanted.grad.abs().max()))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_audio_of_other_types(kind):
    layer = bg.DifferentiableEffect("pedalboard-builtin:Reverb", audio_gradient="lti")
    x, p = recordings().to(kind), torch.full((2, 5), 0.5)
    weight = torch.randn_like(x)
    found = gradient(layer, x, p, weight)
    assert found.dtype == kind
    wanted = gradient(layer, x.float(), p, weight.float())
    assert (found.float() - wanted).norm() <= (2 * torch.finfo(kind).eps + 1e-5) * wanted.norm()


def test_it_survives_torch_compile():
    layer = bg.DifferentiableEffect("pedalboard-builtin:Delay", audio_gradient="lti")
    x, p = recordings(), torch.full((2, 3), 0.5)
    weight = torch.randn_like(x)
    torch.testing.assert_close(
        gradient(torch.compile(layer, backend="aot_eager", fullgraph=True), x, p, weight), gradient(layer, x, p, weight)
    )


# cost


def test_it_renders_once_for_all_items_of_a_setting():
    host = bg.InProcessHost()
    layer = bg.DifferentiableEffect("reference:biquad", audio_gradient="lti", host=host)
    x = torch.randn(6, 2, 500)
    p = torch.full((6, 3), 0.5)
    gradient(layer, x, p, x)
    assert host.renders == 6 + 4, "the batch; noise, an impulse in each channel, a late one"
    p[3:] = 0.6
    gradient(layer, x, p, x)
    assert host.renders == 10 + 6 + 2 * 4


# refused


REFUSED = [
    pytest.param("pedalboard-builtin:Distortion", "nonlinear at drive_db"),
    pytest.param("pedalboard-builtin:Bitcrush", "nonlinear at bit_depth"),
    pytest.param("pedalboard-builtin:Chorus", "time-varying at rate_hz"),
    pytest.param("pedalboard-builtin:Phaser", "time-varying at rate_hz"),
    pytest.param("pedalboard-builtin:Delay | pedalboard-builtin:Distortion", "nonlinear at Delay"),
    pytest.param(f"{MDA}Splitter", "not additive at", marks=pytest.mark.plugins),  # what is above a level, on another channel
    pytest.param(f"{MDA}Leslie", "time-varying at", marks=pytest.mark.plugins),
    pytest.param("pedalboard:ZamAutoSat.vst3", "nonlinear at its only setting", marks=pytest.mark.plugins),
]


@pytest.mark.parametrize(("address", "reason"), REFUSED)
def test_an_effect_that_is_no_filter_is_refused_with_the_reason(address, reason):
    layer = bg.DifferentiableEffect(address, audio_gradient="lti")
    x = recordings()
    p = torch.from_numpy(layer.parameter_space.defaults)[None]
    with pytest.raises(EstimatorError, match=reason) as caught:
        gradient(layer, x, p, x)
    assert layer.spec.address in str(caught.value)
    assert "of which 0.001 is allowed" in str(caught.value)


def test_a_compressor_is_a_filter_below_its_threshold_and_refused_above():
    space = {"parameters": ["threshold_db"], "fixed": {"ratio": "4 native"}, "audio_gradient": "lti"}
    layer = bg.DifferentiableEffect("pedalboard-builtin:Compressor", **space)
    x = recordings()
    weight = torch.randn_like(x)
    torch.testing.assert_close(gradient(layer, x, torch.ones(1, 1), weight), weight, rtol=1e-4, atol=1e-5)
    with pytest.raises(EstimatorError, match="nonlinear at threshold_db"):
        gradient(layer, x, torch.full((1, 1), 0.4), weight)


def test_one_setting_that_distorts_is_found_beside_others_that_do_not():
    layer = bg.DifferentiableEffect("pedalboard-builtin:Distortion", audio_gradient="lti")
    quiet = recordings() * 1e-5  # at 0 dB of drive, tanh is a wire
    with pytest.raises(EstimatorError, match=r"drive_db=0\.9"):
        gradient(layer, torch.cat([quiet[:1], 1e4 * quiet[1:]]), torch.tensor([[0.0], [0.9]]), recordings())


# odd items


@pytest.mark.plugins
def test_silence_has_the_gradient_of_sound():
    layer = bg.DifferentiableEffect(f"{MDA}Ambience", audio_gradient="lti")
    x = recordings()
    p, weight = torch.full((1, 4), 0.5), torch.randn_like(x)
    sound = gradient(layer, x, p, weight)
    assert (gradient(layer, 0 * x, p, weight) - sound).norm() <= 1e-4 * sound.norm()
    x[0] = 0
    torch.testing.assert_close(gradient(layer, x, p, weight), sound, rtol=1e-4, atol=1e-5)


def test_silence_is_not_evidence_for_everything():
    layer = bg.DifferentiableEffect("pedalboard-builtin:Chorus", audio_gradient="lti")
    x = torch.zeros(1, 2, 16384)
    with pytest.raises(EstimatorError, match="time-varying"):
        gradient(layer, x, torch.full((1, 5), 0.5), x + 1)


def test_what_is_not_finite_has_no_gradient(third_party):
    layer = bg.DifferentiableEffect("faulty:nan", audio_gradient="lti", on_nonfinite="silence")
    x = recordings(2, 1000)
    found = gradient(layer, x, torch.tensor([[0.3], [0.9]]), x)
    assert found[0].any()
    assert not found[1].any()


def test_a_problem_without_audio_has_no_gradient_of_it():
    estimate = bg.LTI().estimate(bg.Problem.of_function(lambda p: p.sum(-1), torch.full((2, 3), 0.5)))
    assert estimate.audio is None
    assert not estimate.gradient.any()


# what it is for


def test_a_network_before_the_effect_learns_what_was_there():
    """The gradient through a reverb finds the filter before it."""
    torch.manual_seed(0)
    reverb = bg.DifferentiableEffect("pedalboard-builtin:Reverb", audio_gradient="lti")
    p = torch.from_numpy(reverb.parameter_space.defaults)[None]
    x = torch.randn(4, 2, 4096) / 8
    hidden = torch.nn.Conv1d(2, 2, 5, padding=2, bias=False).requires_grad_(False)
    target = reverb(hidden(x), p)
    network = torch.nn.Conv1d(2, 2, 5, padding=2, bias=False)
    before = (network.weight - hidden.weight).norm()
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=15, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        error = (reverb(network(x), p) - target).square().sum()
        error.backward()
        return error

    for _ in range(4):
        optimizer.step(loss)
    assert (network.weight - hidden.weight).norm() < 0.01 * before


def test_it_comes_by_name_with_its_tolerance():
    layer = bg.DifferentiableEffect("pedalboard-builtin:Bitcrush", audio_gradient="lti:tolerance=0.5")
    assert repr(layer.audio_gradient) == "LTI(tolerance=0.5)"
    x = recordings()
    assert gradient(layer, x, torch.from_numpy(layer.parameter_space.defaults)[None], x).any()
    with pytest.raises(EstimatorError, match="tolerance=2 must lie between 0 and 1"):
        bg.LTI(tolerance=2)
