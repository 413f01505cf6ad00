"""The layer and `match` do the same whatever torch's state is, and under torch's transforms."""

from __future__ import annotations

import contextlib
import threading
import warnings

import numpy as np
import pytest
import torch
from torch.func import functional_call, grad, jacrev, vjp, vmap

import blackbox_grad as bg
from blackbox_grad import errors
from blackbox_grad_backends.reference import differentiable

warnings.filterwarnings("ignore", "x requires a gradient")

#: For the parameters, in both modes.
ESTIMATORS = [
    "auto",
    "auto:items=8",
    "coordinates",
    "spsa:samples=3,directions=orthogonal,sides=1",
    "spsa",
    "finite-difference",
]
MODES = ["cotangent", "loss"]
AUDIO_GRADIENTS = ["none", "straight-through", "lti"]


@contextlib.contextmanager
def default_type(kind):
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(kind):
    torch.set_default_device(kind)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


#: In these a gradient can be asked for.
STATES = {
    "default device meta": lambda: default_device("meta"),
    "float64": lambda: default_type(torch.float64),
    "bfloat16": lambda: default_type(torch.bfloat16),
    "float16": lambda: default_type(torch.float16),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "three threads": lambda: threads(3),
    "deterministic": deterministic,
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "tensors on the way back are saved elsewhere": torch.autograd.graph.save_on_cpu,
}

#: In these torch gives no gradient, and what needs none works.
WITHOUT_GRADIENT = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}


def example():
    """x, p, and a target."""
    return tuple(t.clone() for t in _EXAMPLE)


def _example():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 1, 600, generator=generator) * 0.3
    p = 0.2 + 0.6 * torch.rand(3, 3, generator=generator)
    return x, p, differentiable("biquad")(x, torch.full((3, 3), 0.5)).detach()


_EXAMPLE = _example()


def distance(y, target):
    """[B]: under autocast too, the operations are the same: none of them is cast."""
    return (y - target).abs().mean((1, 2))


def gradients(estimator, mode, audio_gradient="none", x=None):
    """Of x and p, by a new layer, in the present state."""
    given, p, target = example()
    x, p = (given if x is None else x).requires_grad_(audio_gradient != "none"), p.requires_grad_()
    torch.manual_seed(5)
    layer = bg.DifferentiableEffect("reference:biquad", host="in-process", estimator=estimator, audio_gradient=audio_gradient)
    value = layer.loss(x, p, distance, target) if mode == "loss" else distance(layer(x, p), target).mean()
    value.backward()
    return [g for g in (x.grad, p.grad) if g is not None]


@pytest.mark.parametrize("state", STATES)
def test_gradients_do_not_depend_on_torchs_state(state):
    for mode in MODES:
        for estimator in ESTIMATORS:
            expected = gradients(estimator, mode)
            with STATES[state]():
                found = gradients(estimator, mode)
            assert torch.equal(found[0], expected[0]), (mode, estimator)
        for audio_gradient in AUDIO_GRADIENTS:
            expected = gradients("spsa", mode, audio_gradient)
            with STATES[state]():
                found = gradients("spsa", mode, audio_gradient)
            assert all(map(torch.equal, found, expected)), (mode, audio_gradient)


@pytest.mark.parametrize("state", STATES | WITHOUT_GRADIENT)
def test_renders_and_estimates_do_not_depend_on_torchs_state(state):
    x, p, weight = example()

    def found():
        torch.manual_seed(3)
        layer = bg.DifferentiableEffect("reference:biquad", host="in-process")
        return layer(x, p), layer.loss(x, p, distance, weight), layer.estimate(x, p, weight)

    expected = found()
    with (STATES | WITHOUT_GRADIENT)[state]():
        assert all(map(torch.equal, found(), expected))


def test_what_was_made_in_inference_mode_can_be_trained_with():
    x, p, target = example()
    layer = bg.DifferentiableEffect("reference:biquad", host="in-process")
    with torch.inference_mode():
        x, target = x.clone(), layer(x, p)
    p.requires_grad_()
    layer(x, p).square().mean().backward()
    layer.loss(x, p, torch.nn.functional.mse_loss, target).backward()
    assert p.grad.abs().sum() > 0


@pytest.mark.parametrize("state", STATES | WITHOUT_GRADIENT)
@pytest.mark.parametrize("estimator", [None, "spsa"])
def test_match_does_not_depend_on_torchs_state(state, estimator):
    _, _, target = example()
    x = np.random.default_rng(0).normal(size=(1, 2000)).astype(np.float32) * 0.2
    with bg.load("reference:biquad") as effect:
        target = effect.render(x, [0.3, 0.6, 0.4])

    def found():
        made = bg.match(effect, x, target, loss="mrstft + mel", renders=40, estimator=estimator, host="in-process")
        return made.loss, *made.point

    expected = found()
    with (STATES | WITHOUT_GRADIENT)[state]():
        assert found() == expected


def test_matches_side_by_side_leave_torchs_threads_as_they_were():
    x = np.random.default_rng(0).normal(size=(1, 2000)).astype(np.float32) * 0.2
    inside, second_began = threading.Event(), threading.Event()

    def in_the_first(progress):
        inside.set()
        second_began.wait(30)

    def matched(on_progress):
        bg.match("reference:gain", x, x / 2, renders=8, host="in-process", on_progress=on_progress)

    with threads(3):
        first = threading.Thread(target=matched, args=(in_the_first,))
        first.start()
        assert inside.wait(30)

        def in_the_second(progress):
            second_began.set()
            first.join(30)

        matched(in_the_second)
        assert torch.get_num_threads() == 3


# the result belongs to the caller


@pytest.mark.parametrize("host", ["in-process", "processes:hosts=1"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_work_in_place_on_the_result_changes_no_gradient(host, estimator):
    x, p, target = example()
    p.requires_grad_()

    def found(work):
        torch.manual_seed(1)
        layer = bg.DifferentiableEffect("reference:biquad", estimator=estimator, host=host)
        y = work(layer(x, p))
        (gradient,) = torch.autograd.grad((y * target).sum(), p)
        return gradient

    def normalised(y):
        y /= y.detach().abs().max()
        return y

    expected = found(lambda y: y / y.detach().abs().max())
    assert torch.equal(found(normalised), expected)


def test_a_loss_may_work_in_place():
    x, p, target = example()
    p.requires_grad_()

    def found(loss):
        torch.manual_seed(1)
        layer = bg.DifferentiableEffect("reference:biquad", estimator="auto:items=8", host="in-process")
        return torch.autograd.grad(layer.loss(x, p, loss, target), p)[0]

    def halved(y, t):
        y *= 0.5
        return distance(y, t)

    assert torch.equal(found(halved), found(lambda y, t: distance(y * 0.5, t)))


def test_changing_the_input_in_place_before_the_way_back_is_an_error():
    x, p, target = example()
    p.requires_grad_()
    layer = bg.DifferentiableEffect("reference:biquad", host="in-process")
    for value in (layer(x, p).sum(), layer.loss(x, p, distance, target)):
        x.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            value.backward()


# torch's transforms


def biquad(estimator="finite-difference:step=0.001", **options):
    return bg.DifferentiableEffect("reference:biquad", estimator=estimator, host="in-process", **options)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_func_grad_gives_what_backward_gives(mode, estimator):
    x, p, target = example()

    def value(layer, q):
        return layer.loss(x, q, distance, target) if mode == "loss" else distance(layer(x, q), target).mean()

    torch.manual_seed(2)
    found = grad(lambda q, layer: value(layer, q))(p, biquad(estimator))
    torch.manual_seed(2)
    q = p.clone().requires_grad_()
    value(biquad(estimator), q).backward()
    assert torch.equal(found, q.grad)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "audio_gradient",
    ["straight-through", "lti", bg.StraightThrough(differentiable("biquad"))],
    ids=["identity", "lti", "surrogate"],
)
def test_func_grad_gives_the_gradient_of_the_audio(mode, audio_gradient):
    x, p, target = example()
    layer = biquad(audio_gradient=audio_gradient)

    def value(x, p):
        return layer.loss(x, p, distance, target) if mode == "loss" else distance(layer(x, p), target).mean()

    torch.manual_seed(1)
    found = grad(value, argnums=(0, 1))(x, p)
    each = vmap(grad(lambda x, p, t: distance(layer(x[None], p[None]), t[None]).mean()), in_dims=(0, 0, 0))(x, p, target)
    x, p = x.clone().requires_grad_(), p.clone().requires_grad_()
    torch.manual_seed(1)
    expected = torch.autograd.grad(value(x, p), (x, p))
    assert all(map(torch.equal, found, expected))
    torch.testing.assert_close(each / 3, expected[0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dims", [(0, 0, 0), (None, 0, None), (0, None, 0), (2, 1, 0), (0, 0, None)])
def test_vmap_is_a_larger_batch(mode, dims):
    layer, (x, p, target) = biquad(), example()
    x, p, target = x[:, None], p[:, None], target[:, None]  # [V, 1, …]

    def value(x, p, target):
        return layer.loss(x, p, distance, target) if mode == "loss" else distance(layer(x, p), target).mean()

    each = [[t[v if dim is not None else 0] for v in range(3)] for t, dim in zip((x, p, target), dims, strict=True)]
    given = [t[0] if dim is None else t.movedim(0, dim) for t, dim in zip((x, p, target), dims, strict=True)]
    expected = [grad(value, argnums=1)(*items) for items in zip(*each, strict=True)]
    torch.testing.assert_close(vmap(grad(value, argnums=1), in_dims=dims)(*given), torch.stack(expected))
    # the other order: the gradient of what is mapped
    both = grad(lambda *inputs: vmap(value, in_dims=dims)(*inputs).sum(), argnums=1)(*given)
    if dims[1] is None:
        torch.testing.assert_close(both, torch.stack(expected).sum(0))
    else:
        torch.testing.assert_close(both.movedim(dims[1], 0), torch.stack(expected))
    torch.testing.assert_close(
        vmap(value, in_dims=dims)(*given), torch.stack([value(*items) for items in zip(*each, strict=True)])
    )


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_vmap_costs_as_many_renders_as_a_batch_and_its_items_are_independent(estimator):
    host = bg.InProcessHost()
    x, p, target = example()
    x, p, target = (t[:1].expand(8, *t.shape[1:]) for t in (x, p, target))
    layer = bg.DifferentiableEffect("reference:biquad", estimator=estimator, host=host)
    found = vmap(grad(lambda q: distance(layer(x[:1], q[None]), target[:1]).mean()))(p)
    of_vmap, host.renders = host.renders, 0
    q = p.clone().requires_grad_()
    distance(layer(x, q), target).mean().backward()
    assert host.renders == of_vmap
    if "finite" not in estimator:
        assert len({tuple(row) for row in found.tolist()}) > 1, "each item draws its own directions"


def test_vmap_of_vmap():
    layer, (x, p, target) = biquad(), example()
    ps = torch.stack([p, 1 - p])
    of_one = grad(lambda q: distance(layer(x[:1], q[None]), target[:1]).mean())
    expected = torch.stack([of_one(q) for q in ps.flatten(0, 1)]).reshape(ps.shape)
    torch.testing.assert_close(vmap(vmap(of_one))(ps), expected)


def test_the_jacobian_is_that_of_the_formula():
    layer, (x, p, _) = biquad(), example()
    x, p = x[:2, :, :5], p[:2]
    expected = torch.autograd.functional.jacobian(lambda q: differentiable("biquad")(x, q), p)
    torch.testing.assert_close(jacrev(lambda q: layer(x, q))(p), expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(torch.autograd.functional.jacobian(lambda q: layer(x, q), p), expected, atol=2e-3, rtol=0)
    _, back = vjp(lambda q: layer(x, q), p)
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(back(weight)[0], torch.einsum("bctad,bct->ad", expected, weight), atol=1e-2, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_a_network_before_the_layer_under_functional_call(mode):
    x, _, target = example()
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Sigmoid())
    weights, layer, z = dict(network.named_parameters()), biquad(), torch.randn(3, 4)

    def value(weights, x, target):
        p = functional_call(network, weights, (z,))
        return layer.loss(x, p, distance, target) if mode == "loss" else distance(layer(x, p), target).mean()

    found = grad(value)(weights, x, target)
    value(weights, x, target).backward()
    for name, weight in network.named_parameters():
        torch.testing.assert_close(found[name], weight.grad)


def test_weights_inside_the_loss_get_their_exact_gradient():
    layer, (x, p, target) = biquad(), example()

    def value(weight, p):
        return layer.loss(x, p, lambda y, t: (weight * (y - t)).square().mean((1, 2)), target)

    weight = torch.tensor([1.5])
    to_weight, to_p = grad(value, argnums=(0, 1))(weight, p)
    leaves = weight.clone().requires_grad_(), p.clone().requires_grad_()
    expected = torch.autograd.grad(value(*leaves), leaves)
    torch.testing.assert_close(to_weight, expected[0])
    torch.testing.assert_close(to_p, expected[1])


@pytest.mark.parametrize("mode", MODES)
def test_forward_mode_and_second_derivatives_are_refused_in_words(mode):
    layer, (x, p, target) = biquad(), example()

    def value(p):
        return layer.loss(x, p, distance, target) if mode == "loss" else distance(layer(x, p), target).mean()

    with pytest.raises(errors.EstimatorError, match="reverse mode"):
        torch.func.jvp(value, (p,), (p,))
    with pytest.raises(errors.SecondDerivativeError, match="cannot be differentiated again"):
        grad(lambda p: grad(value)(p).sum())(p)


# other ways in which modules are used


@pytest.mark.parametrize("compiled", ["eager", "aot_eager"])
def test_a_compiled_model_may_work_in_place(compiled):
    layer, (x, p, target) = biquad(), example()

    def model(p):
        y = layer(x, p)
        y /= y.detach().abs().max()
        return distance(y, target).mean()

    q = [p.clone().requires_grad_() for _ in range(2)]
    torch.compile(model, backend=compiled)(q[0]).backward()
    model(q[1]).backward()
    torch.testing.assert_close(q[0].grad, q[1].grad)


def test_checkpointed_blocks_give_the_same_gradient():
    layer, (x, p, target) = biquad(), example()
    p.requires_grad_()
    expected = torch.autograd.grad(distance(layer(x, p), target).mean(), p)[0]
    for reentrant in (False, True):
        p.grad = None
        y = torch.utils.checkpoint.checkpoint(layer, x, p, use_reentrant=reentrant)
        distance(y, target).mean().backward()
        torch.testing.assert_close(p.grad, expected)


@pytest.mark.parametrize("address", ["reference:biquad", "reference:gain | reference:biquad"])
def test_an_opened_effect_is_as_good_as_its_recipe(address):
    x, *_ = example()
    with bg.load(address, 48000, parameters="all") as effect:
        layer = bg.DifferentiableEffect(effect, host="in-process")
        assert layer.spec == effect.spec
        assert layer.parameter_space == effect.parameters
        assert layer.spec.sample_rate == 48000
        again = bg.DifferentiableEffect(layer, estimator="spsa", host="in-process")
        assert again.spec == layer.spec
        assert bg.chain(effect, "reference:gain").parts[0] == effect.spec
        p = effect.parameters.defaults
        np.testing.assert_array_equal(
            layer(x[:1], torch.from_numpy(p)[None].float())[0].numpy(), effect.render(x[0].numpy(), p.astype(np.float32))
        )
        with pytest.raises(errors.EffectLoadError, match="already sets parameters"):
            bg.DifferentiableEffect(effect, parameters=["Gain"])
