"""`DifferentiableEffect` behaves like an ordinary torch module."""

from __future__ import annotations

import copy
import pickle
import re

import pytest
import torch
from torch import nn

import blackbox_grad as bg
from blackbox_grad import errors
from blackbox_grad_backends.reference import differentiable


def settings(batch: int = 3, count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, count, generator=torch.Generator().manual_seed(seed), requires_grad=True)


def audio(batch: int = 3, channels: int = 2, samples: int = 1000, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, channels, samples, generator=torch.Generator().manual_seed(seed)) * 0.3


@pytest.fixture(scope="module")
def clip():
    return bg.DifferentiableEffect("reference:soft-clip", estimator="finite-difference:step=0.001")


# forward


def test_it_renders_what_the_effect_renders(clip):
    x, p = audio(), settings()
    torch.testing.assert_close(clip(x, p), differentiable("soft-clip")(x, p), rtol=1e-6, atol=1e-7)


def test_one_recording_at_many_settings_and_many_recordings_at_one(clip):
    x, p = audio(), settings()
    torch.testing.assert_close(clip(x[:1], p), clip(x[:1].expand(3, -1, -1), p))
    y = clip(x, p[:1])
    (gradient,) = torch.autograd.grad(y.sum(), p)
    assert gradient[0].abs().sum() > 0
    assert gradient[1:].abs().sum() == 0


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_types_are_kept_and_float32_is_used_inside(clip, kind):
    x = audio().to(kind)
    p = settings().detach().to(kind).requires_grad_()
    y = clip(x, p)
    assert y.dtype == kind
    y.sum().backward()
    assert p.grad.dtype == kind


def test_it_works_under_autocast(clip):
    p = settings()
    with torch.autocast("cpu", torch.bfloat16):
        y = clip(audio(), p)
        y.square().mean().backward()
    torch.testing.assert_close(y, clip(audio(), p))
    assert p.grad.abs().sum() > 0


def test_the_input_is_not_changed(clip):
    x, p = audio(), settings()
    before = x.clone(), p.detach().clone()
    clip(x, p).sum().backward()
    torch.testing.assert_close(x, before[0], rtol=0, atol=0)
    torch.testing.assert_close(p.detach(), before[1], rtol=0, atol=0)


def test_audio_of_any_memory_layout(clip):
    x = audio(channels=4)[:, ::2].transpose(1, 2).contiguous().transpose(1, 2)
    assert not x.is_contiguous()
    torch.testing.assert_close(clip(x, settings()), clip(x.contiguous(), settings()))


@pytest.mark.parametrize("shape", [(0, 2, 100), (3, 2, 0)])
def test_nothing_in_nothing_out(clip, shape):
    p = settings(shape[0])
    y = clip(torch.zeros(shape), p)
    assert y.shape == shape
    y.sum().backward()
    assert not p.grad.any()


@pytest.mark.parametrize(
    ("x", "p", "error", "said"),
    [
        (audio()[0], settings(), errors.AudioError, r"\[B, C, T\], got \[2, 1000\]"),
        (audio().long(), settings(), errors.AudioError, r"floating point, got torch.int64; write x.float\(\)"),
        (audio().numpy(), settings(), errors.AudioError, "torch.Tensor, got ndarray"),
        (audio().to(torch.complex64), settings(), errors.AudioError, "audio x must be floating point, got torch.complex64"),
        (audio().to("meta"), settings(), errors.AudioError, "audio x must .* on the device meta"),
        (audio().to_sparse(), settings(), errors.AudioError, r"audio x must be dense .*; write x.to_dense\(\)"),
        (audio()[:, :0], settings(), errors.AudioError, r"\[B, C, T\], got \[3, 0, 1000\]"),
        (audio(), settings().detach().numpy(), errors.ParameterError, "parameters p must be a torch.Tensor, got ndarray"),
        (audio(), settings().int(), errors.ParameterError, r"floating point, got torch.int32; write p.float\(\)"),
        (audio(), settings().to("meta"), errors.ParameterError, "parameters p must .* on the device meta"),
        (audio(), settings(count=3), errors.ParameterError, r"\[B, 2\] \(Drive, Level\), got \[3, 3\]"),
        (audio(), settings(2), errors.ParameterError, "batch of 3 and parameters one of 2"),
        (audio(), settings() + 1, errors.ParameterError, r"'Drive' \(item 0\): 1\.\d+ is not in \[0, 1\]"),
        (audio(), settings() * torch.nan, errors.ParameterError, "nan is not in"),
        (audio() * torch.inf, settings(), errors.AudioError, r"NaN or infinity \(item 0 of the batch"),
    ],
)
def test_wrong_input_says_what_is_right(clip, x, p, error, said):
    with pytest.raises(error, match=said) as caught:
        clip(x, p)
    assert "reference:soft-clip" in str(caught.value)


# backward


def test_no_probe_when_no_gradient_is_asked_for():
    host = bg.InProcessHost()
    layer = bg.DifferentiableEffect("reference:biquad", host=host, audio_gradient="straight-through")
    x = audio().requires_grad_()
    p = settings(count=3)
    with torch.no_grad():
        layer(x, p)
    y = layer(x, p.detach())
    y.sum().backward()
    assert host.renders == 6, "two forward renders of three items, and nothing else"
    layer(x, p).sum().backward()
    assert host.renders == 9 + 6, "and two probes for each item"


@pytest.mark.parametrize(
    ("choice", "expected"), [("none", None), ("straight-through", 1.0), (bg.StraightThrough(differentiable("gain")), "exact")]
)
def test_the_audio_gradient_is_what_was_chosen(choice, expected):
    layer = bg.DifferentiableEffect("reference:gain", audio_gradient=choice)
    x, p = audio().requires_grad_(), settings(count=1)
    weight = audio(seed=1)
    (layer(x, p) * weight).sum().backward()
    if expected is None:
        assert x.grad is None or not x.grad.any()
    elif expected == "exact":
        (truth,) = torch.autograd.grad((differentiable("gain")(x, p) * weight).sum(), x)
        torch.testing.assert_close(x.grad, truth)
    else:
        torch.testing.assert_close(x.grad, weight)
    assert p.grad.abs().sum() > 0


def test_an_audio_gradient_that_nobody_chose_is_warned_of_once():
    layer = bg.DifferentiableEffect("reference:gain")
    x, p = audio().requires_grad_(), settings(count=1)
    with pytest.warns(UserWarning, match="what comes before it does not learn"):
        layer(x, p)
    layer(x, p)


def test_rendering_without_a_gradient_leaves_torchs_random_state_alone(clip):
    before = torch.get_rng_state()
    clip(audio(), settings().detach())
    with torch.no_grad():
        clip(audio(), settings())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_host_or_an_estimate_of_a_wrong_type_is_named():
    with pytest.raises(errors.HostError, match="host=3 is not a host"):
        bg.DifferentiableEffect("reference:gain", host=3)

    class Tensors:
        def estimate(self, problem):
            return problem.point

    layer = bg.DifferentiableEffect("reference:gain", estimator=Tensors())
    with pytest.raises(errors.EstimatorError, match="returned Tensor"):
        layer(audio(), settings(count=1)).sum().backward()


def test_an_audio_gradient_that_gives_none_is_refused():
    layer = bg.DifferentiableEffect("reference:gain", audio_gradient="finite-difference")
    with pytest.raises(errors.EstimatorError, match="gives no gradient of the audio"):
        layer(audio().requires_grad_(), settings(count=1)).sum().backward()


def test_equal_seeds_give_equal_gradients_whatever_the_number_of_hosts():
    gradients = []
    for hosts in (1, 2, 1):
        with bg.ProcessPool(hosts=hosts) as pool:
            layer = bg.DifferentiableEffect("reference:biquad", estimator="spsa", host=pool)
            p = settings(count=3)
            torch.manual_seed(3)
            layer(audio(), p).square().sum().backward()
            gradients.append(p.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)
    torch.testing.assert_close(gradients[0], gradients[2], rtol=0, atol=0)
    torch.manual_seed(4)
    p = settings(count=3)
    bg.DifferentiableEffect("reference:biquad", estimator="spsa")(audio(), p).square().sum().backward()
    assert not torch.equal(p.grad, gradients[0])


@pytest.mark.parametrize("mode", ["forward", "loss"])
def test_second_derivatives_are_refused(clip, mode):
    p = settings()
    loss = (
        clip(audio(), p).square().mean() if mode == "forward" else clip.loss(audio(), p, torch.nn.functional.mse_loss, audio())
    )
    (gradient,) = torch.autograd.grad(loss, p, create_graph=True)
    with pytest.raises(errors.SecondDerivativeError, match="create_graph"):
        gradient.sum().backward(retain_graph=True)
    with pytest.raises(errors.SecondDerivativeError, match="create_graph"):
        torch.autograd.grad(p.sum() + gradient.sum(), p)


def test_a_layer_that_only_the_graph_still_holds():
    p = settings(count=1)
    y = bg.DifferentiableEffect("reference:gain")(audio(), p)
    y.sum().backward()
    assert p.grad.any()


def test_an_estimator_that_returns_a_wrong_shape_is_named(clip):
    class Wrong:
        def estimate(self, problem):
            return bg.Estimate(problem.point[:1])

    layer = bg.DifferentiableEffect("reference:gain", estimator=Wrong())
    with pytest.raises(errors.EstimatorError, match=r"Wrong.*\[B, P\] = \[3, 1\]"):
        layer(audio(), settings(count=1)).sum().backward()


# the loss mode


def mse(y, target):
    return (y - target).square().mean(dim=(1, 2))


@pytest.mark.parametrize("loss_fn", [mse, torch.nn.functional.mse_loss])
def test_the_loss_mode_has_the_value_and_the_gradient_of_the_loss(clip, loss_fn):
    x, p, target = audio(), settings(), audio(seed=1)
    loss = clip.loss(x, p, loss_fn, target)
    truth = mse(differentiable("soft-clip")(x, p), target).mean()
    torch.testing.assert_close(loss, truth)
    (gradient,) = torch.autograd.grad(3 * loss, p)
    (exact,) = torch.autograd.grad(3 * truth, p)
    torch.testing.assert_close(gradient, exact, rtol=2e-2, atol=1e-4)


def test_the_loss_mode_finds_a_delay_time_where_the_vector_jacobian_product_does_not():
    torch.manual_seed(0)
    x = torch.nn.functional.pad(audio(8, 1, 400), (0, 11600))  # a burst: what the delay moves is its arrival
    layer = bg.DifferentiableEffect(
        "reference:delay",
        24000,
        parameters=["Time"],
        fixed={"Mix": 1.0, "Feedback": 0.0},
        estimator="finite-difference:step=0.05",
    )

    def arrival(y, target):
        energy, wanted = (signal.square().sum(1).cumsum(1) for signal in (y, target))
        return (energy - wanted).abs().mean(1)

    away = torch.tensor([-0.3, -0.2, -0.15, -0.1, 0.1, 0.15, 0.2, 0.25])[:, None]
    target = layer(x, torch.full((8, 1), 0.7)).detach()
    p = (0.7 + away).requires_grad_()
    (by_loss,) = torch.autograd.grad(layer.loss(x, p, arrival, target), p)
    (by_waveform,) = torch.autograd.grad(arrival(layer(x, p), target).mean(), p)
    assert (by_loss.sign() == away.sign()).all()
    assert not (by_waveform.sign() == away.sign()).all()


def test_the_loss_mode_gives_exact_gradients_to_what_is_inside_the_loss(clip):
    x, p = audio(), settings()
    target, scale = audio(seed=1).requires_grad_(), torch.tensor(2.0, requires_grad=True)
    loss = clip.loss(x, p, lambda y, t: (scale * y - t).square().mean(dim=(1, 2)), target)
    y = clip(x, p).detach()
    exact = torch.autograd.grad((scale * y - target).square().mean(), (scale, target))
    estimated = torch.autograd.grad(loss, (scale, target))
    torch.testing.assert_close(estimated, exact)


def test_the_loss_mode_takes_losses_of_other_libraries():
    from auraloss.freq import MultiResolutionSTFTLoss

    distance = MultiResolutionSTFTLoss([256, 512], [64, 128], [256, 512])
    layer = bg.DifferentiableEffect("pedalboard-builtin:Distortion", estimator="finite-difference:step=0.02")
    x, p = audio(4, 1, 4000), torch.tensor([[0.1], [0.3], [0.7], [0.9]], requires_grad=True)
    target = layer(x, torch.tensor([[0.5]])).detach()
    loss = layer.loss(x, p, distance, target)
    loss.backward()
    torch.testing.assert_close(
        loss, torch.stack([distance(layer(x, p)[i : i + 1], target[i : i + 1]) for i in range(4)]).mean()
    )
    assert p.grad[:, 0].sign().tolist() == [-1, -1, 1, 1]


def test_the_loss_mode_passes_the_audio_gradient_on():
    layer = bg.DifferentiableEffect("reference:gain", audio_gradient="straight-through")
    x, p, target = audio().requires_grad_(), torch.full((3, 1), 0.5, requires_grad=True), audio(seed=1)
    (gradient,) = torch.autograd.grad(layer.loss(x, p, mse, target), x)
    (exact,) = torch.autograd.grad(mse(x, target).mean(), x)  # at 0 dB the effect is the identity
    torch.testing.assert_close(gradient, exact)


def test_a_loss_of_a_wrong_shape_is_explained(clip):
    with pytest.raises(errors.EstimatorError, match=r"\[3, 2, 1000\].*one loss an item"):
        clip.loss(audio(), settings(), lambda y, t: (y - t) ** 2, audio())
    with pytest.raises(errors.AudioError, match="batch size 3"):
        clip.loss(audio(), settings(), mse, audio(2))
    with pytest.raises(errors.AudioError, match="target .* torch.Tensor, got ndarray"):
        clip.loss(audio(), settings(), mse, audio().numpy())
    with pytest.raises(errors.EstimatorError, match="loss_fn='mse' must be a function"):
        clip.loss(audio(), settings(), "mse", audio())
    with pytest.raises(errors.EstimatorError, match="loss_fn returned float; .* floating-point tensor"):
        clip.loss(audio(), settings(), lambda y: 0.5)


def test_the_loss_of_an_empty_batch_is_what_torch_makes_of_it(clip):
    p = settings(0)
    loss = clip.loss(audio(0), p, torch.nn.functional.mse_loss, audio(0))
    assert loss.isnan(), "a mean of nothing"
    loss.backward()
    assert p.grad.shape == (0, 2)


# faults


@pytest.fixture
def spoiled(third_party):
    def make(**options):
        return bg.DifferentiableEffect("faulty:nan", estimator="finite-difference:step=0.1", **options)

    return make


def test_a_forward_render_that_is_not_finite_raises_and_names_the_setting(spoiled):
    layer = spoiled()
    with pytest.raises(errors.NonFiniteAudioError, match=r"faulty:nan .*item 1 of the batch at Level=0\.9"):
        layer(audio(2), torch.tensor([[0.1], [0.9]]))
    assert layer.nonfinite == 1


def test_or_it_is_silence_without_a_gradient(spoiled):
    layer = spoiled(on_nonfinite="silence")
    p = torch.tensor([[0.3], [0.9]], requires_grad=True)
    y = layer(audio(2), p)
    assert not y[1].any()
    y.square().sum().backward()
    assert p.grad[0].abs() > 0
    assert p.grad[1] == 0


def test_a_probe_that_is_not_finite_is_left_out_and_counted(spoiled):
    layer = spoiled()
    p = torch.tensor([[0.45], [0.3]], requires_grad=True)  # the upper probe of the first is NaN
    layer(audio(2), p).sum().backward()
    assert layer.nonfinite == 1
    assert torch.isfinite(p.grad).all()


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
@pytest.mark.parametrize("mode", ["forward", "loss"])
def test_a_loss_that_is_not_finite_has_no_gradient_that_looks_like_one(clip, mode, wrong):
    x, p = audio(2), settings(2)
    weight = torch.tensor([1.0, wrong])[:, None, None]
    if mode == "forward":
        (clip(x, p) * weight).square().sum().backward()
    else:
        clip.loss(x, p, lambda y, w: (y * w).square().sum((1, 2)), weight).backward()
    assert torch.isfinite(p.grad[0]).all()
    assert torch.isnan(p.grad[1]).all()


def test_an_unknown_choice_is_refused():
    with pytest.raises(errors.AudioError, match="'ignore' is unknown"):
        bg.DifferentiableEffect("reference:gain", on_nonfinite="ignore")


# an ordinary module


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_render_the_same(clip, duplicate):
    other = duplicate(clip)
    x, p = audio(), settings()
    torch.testing.assert_close(other(x, p), clip(x, p), rtol=0, atol=0)
    other(x, p).sum().backward()
    assert p.grad.any()


def test_it_has_no_weights_and_nothing_in_its_state(clip):
    network = nn.Sequential(nn.Linear(4, 2), clip)
    assert set(network.state_dict()) == {"0.weight", "0.bias"}
    network.load_state_dict(network.state_dict())
    assert [name for name, _ in network.named_parameters()] == ["0.weight", "0.bias"]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_torch_compile_passes_it_as_an_opaque_operator(clip, backend):
    def step(x, p):
        return (clip(x * 2, p.sigmoid()) * 3).square().mean()

    x, p = audio(), settings()
    expected = step(x, p)
    (gradient,) = torch.autograd.grad(expected, p)
    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, backend=backend)(x, p)
    torch.testing.assert_close(compiled, expected)
    torch.testing.assert_close(torch.autograd.grad(compiled, p)[0], gradient)


def test_the_loss_mode_survives_torch_compile(clip):
    x, p, target = audio(), settings(), audio(seed=1)
    torch._dynamo.reset()
    compiled = torch.compile(lambda x, p: clip.loss(x, p.clamp(0, 1), mse, target) * 2, backend="aot_eager")(x, p)
    torch.testing.assert_close(compiled, 2 * clip.loss(x, p, mse, target))
    compiled.backward()
    assert p.grad.any()


def test_its_representation_names_effect_parameters_and_estimator(clip):
    assert re.search(r"'reference:soft-clip', parameters=\['Drive', 'Level'\], estimator=FiniteDifference", repr(clip))


def test_gradient_checkpointing_and_accumulation(clip):
    from torch.utils.checkpoint import checkpoint

    x, p = audio(), settings()
    (plain,) = torch.autograd.grad(clip(x, p).square().sum(), p)
    (checkpointed,) = torch.autograd.grad(checkpoint(clip, x, p, use_reentrant=False).square().sum(), p)
    torch.testing.assert_close(plain, checkpointed)


@pytest.mark.parametrize("mode", ["forward", "loss"])
def test_a_network_learns_through_it(mode):
    torch.manual_seed(0)
    layer = bg.DifferentiableEffect("reference:soft-clip", estimator="spsa:samples=2,sides=1,directions=orthogonal")
    hidden = torch.tensor([[0.7, 0.3]])
    network = nn.Sequential(nn.Linear(200, 8), nn.Tanh(), nn.Linear(8, 2), nn.Sigmoid())
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(150):
        x = torch.randn(8, 1, 200) * 0.3
        target = layer(x, hidden)
        p = network(x[:, 0])
        loss = layer.loss(x, p, mse, target) if mode == "loss" else mse(layer(x, p), target).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (network(torch.randn(64, 200) * 0.3).mean(0) - hidden[0]).abs().max() < 0.1


def test_it_trains_in_lightning(tmp_path):
    import lightning

    class System(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.logits = nn.Parameter(torch.zeros(1, 2))
            self.effect = bg.DifferentiableEffect("reference:soft-clip", estimator="finite-difference")

        def training_step(self, x, _):
            target = self.effect(x, torch.tensor([[0.7, 0.3]]))
            return mse(self.effect(x, self.logits.sigmoid()), target).mean()

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 0.1)

    system = System()
    data = torch.utils.data.DataLoader(audio(64, 1, 200), batch_size=8, num_workers=0)
    trainer = lightning.Trainer(
        max_epochs=25,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(system, data)
    torch.testing.assert_close(system.logits.detach().sigmoid(), torch.tensor([[0.7, 0.3]]), atol=0.05, rtol=0)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert torch.equal(System.load_from_checkpoint(tmp_path / "a.ckpt").logits, system.logits)


def test_a_dataloader_worker_renders_with_hosts_of_its_own(clip):
    class Rendered(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return clip(audio(1, seed=i), torch.tensor([[0.5, 0.5]]))[0]

    loader = torch.utils.data.DataLoader(Rendered(), batch_size=2, num_workers=2, multiprocessing_context="fork", timeout=240)
    rendered = torch.cat(list(loader))
    expected = torch.cat([clip(audio(1, seed=i), torch.tensor([[0.5, 0.5]])) for i in range(4)])
    torch.testing.assert_close(rendered, expected, rtol=0, atol=0)


def test_probes_are_judged_as_precisely_as_the_forward_render():
    """Under autocast a loss has the rounding of bfloat16, and the probes' losses must have the same."""
    layer = bg.DifferentiableEffect("reference:gain", estimator="spsa:sides=1,samples=1", host=bg.InProcessHost())
    x, matrix = audio(batch=1), torch.randn(256, 256)
    values = []

    def loss(y, target):
        values.append(((y[:, :, :256] @ matrix).float() - target).square().mean((1, 2)))
        return values[-1]

    p = torch.full((1, 1), 0.5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.loss(x, p, loss, torch.zeros(1, 1, 256))
    layer.estimator.step = 1e-9  # the same sound again
    values.clear()
    found.backward()
    assert values[-1].item() == pytest.approx(found.item(), rel=1e-6)


def test_a_render_that_is_not_finite_has_no_value(third_party):
    seen = []

    class Watch:
        def estimate(self, problem):
            seen.append(problem.value)
            return bg.Estimate(torch.zeros_like(problem.point))

    layer = bg.DifferentiableEffect("faulty:nan", estimator=Watch(), on_nonfinite="silence", host=bg.InProcessHost())
    count = len(layer.parameter_space)
    p = torch.tensor([[0.3] * count, [0.9] * count]).requires_grad_()
    x = torch.randn(2, 1, 64)
    layer(x, p).square().sum().backward()
    layer.loss(x, p, lambda y, t: (y - t).abs().mean((1, 2)), x).backward()
    assert [torch.isnan(value).tolist() for value in seen] == [[False, True]] * 2


def test_what_a_layer_was_made_with_can_be_changed():
    layer = bg.DifferentiableEffect("reference:gain", host="in-process")
    layer.on_nonfinite = "silence"
    assert layer.renderer.on_nonfinite == "silence"
    layer.audio_gradient = "straight-through"
    x = torch.ones(1, 1, 8, requires_grad=True)
    layer(x, torch.full((1, 1), 0.5)).sum().backward()
    assert x.grad.eq(1.0).all()
    with pytest.raises(bg.errors.AudioError, match="on_nonfinite='ignore' is unknown"):
        layer.on_nonfinite = "ignore"
