"""`JaxEffect` is an ordinary function of JAX, as far as anybody who uses one can see."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import blackbox_grad as bg
from blackbox_grad import errors
from blackbox_grad.dependencies import install_line
from blackbox_grad_adapters.jax import JaxEffect

EXACT = "finite-difference:step=0.01"

EFFECTS = [
    pytest.param("pedalboard-builtin:Distortion", ["drive_db"], id="builtin"),
    pytest.param("pedalboard:ZamTube.vst3", ["Tube Drive", "Bass"], marks=pytest.mark.plugins, id="vst3"),
    pytest.param(
        "dawdreamer:http://drobilla.net/plugins/mda/Overdrive", ["Drive", "Muffle"], marks=pytest.mark.plugins, id="lv2"
    ),
]


def audio(batch: int = 3, channels: int = 2, samples: int = 1000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.3, size=(batch, channels, samples)).astype(np.float32)


def settings(batch: int = 3, count: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 0.8, (batch, count)).astype(np.float32)


def weighted(effect, weight):
    """A loss whose cotangent is `weight`."""
    return lambda x, p, key=None: (effect(x, p, key) * weight).sum()


def mse(y, target):
    return jnp.mean((y - target) ** 2)


class CountingHost(bg.InProcessHost):
    """Counts the calls, each of which renders a batch."""

    calls = 0

    def render_batch(self, spec, audio, points):
        self.calls += 1
        return super().render_batch(spec, audio, points)

    def probe_batch(self, spec, audio, points, cotangent):
        self.calls += 1
        return super().probe_batch(spec, audio, points, cotangent)


@pytest.fixture
def host():
    return CountingHost()


@pytest.fixture
def clip(host):
    return JaxEffect("reference:soft-clip", estimator=EXACT, host=host)


# renders and gradients


@pytest.mark.parametrize(("address", "names"), EFFECTS)
@pytest.mark.parametrize("transformed", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_renders_and_gradients_are_those_of_the_torch_module(address, names, transformed):
    effect = JaxEffect(address, parameters=names, estimator=EXACT)
    layer = bg.DifferentiableEffect(address, parameters=names, estimator=EXACT)
    x, p = audio(samples=4000), settings(count=len(names))
    weight = audio(samples=4000, seed=1)

    point = torch.from_numpy(p).requires_grad_()
    y = layer(torch.from_numpy(x), point)
    (y * torch.from_numpy(weight)).sum().backward()

    value, gradient = transformed(jax.value_and_grad(weighted(effect, weight), argnums=1))(x, p)
    np.testing.assert_allclose(transformed(effect)(x, p), y.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(value, (y.detach().numpy() * weight).sum(), rtol=1e-3, atol=1e-3)
    assert np.abs(gradient).max() > 0
    np.testing.assert_allclose(gradient, point.grad, rtol=1e-4, atol=1e-4 * float(point.grad.abs().max()))


@pytest.mark.parametrize("lead", [(6,), (2, 3)], ids=["vmap", "vmap of vmap"])
def test_a_mapped_call_is_one_batch(clip, host, lead):
    def gradient(x, p, weight):
        return jax.grad(lambda p: (clip(x, p) * weight).sum())(p)

    batch = audio(6), settings(6), audio(6, seed=1)
    expected = gradient(*batch)
    calls = host.calls
    mapped = gradient
    for _ in lead:
        mapped = jax.vmap(mapped)
    for number, transformed in enumerate((mapped, jax.jit(mapped)), 2):
        found = transformed(*(a.reshape(*lead, *a.shape[1:]) for a in batch))
        np.testing.assert_allclose(found, expected.reshape(*lead, 2), rtol=1e-5)
        assert host.calls == number * calls


def test_what_is_not_mapped_is_shared(clip):
    x, p = audio(), settings(5)
    y = jax.vmap(clip, in_axes=(None, 0))(x[0], p)
    np.testing.assert_allclose(y, clip(x[:1], p))
    y = jax.vmap(clip, in_axes=(2, None), out_axes=1)(np.moveaxis(x, 0, 2), p[0])
    np.testing.assert_allclose(np.moveaxis(y, 1, 0), clip(x, p[:1]))


def test_it_works_in_a_scan(clip):
    x, target = audio(), audio(seed=1)

    def step(p, _):
        gradient = jax.grad(lambda p: mse(clip(x, p), target))(p)
        return jnp.clip(p - 0.1 * gradient, 0, 1), None

    p = jnp.asarray(settings())
    scanned, _ = jax.jit(lambda p: jax.lax.scan(step, p, length=3))(p)
    for _ in range(3):
        p, _ = step(p, None)
    assert not np.allclose(p, settings())
    np.testing.assert_allclose(scanned, p, rtol=1e-5)


def test_a_gradient_flows_through_renders_in_a_scan(clip):
    x, weight = audio(2), audio(2, seed=1)

    def twice(p):
        y, _ = jax.lax.scan(lambda y, _: (clip(y, p), None), x, length=2)
        return (y * weight).sum()

    gradient = jax.grad(twice)(settings(2))
    last = jax.grad(lambda p: (clip(clip(x, settings(2)), p) * weight).sum())(settings(2))
    np.testing.assert_allclose(gradient, last, rtol=1e-5)  # through the first render no gradient flows: audio_gradient is None


@pytest.mark.parametrize("transformed", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_no_probe_where_no_gradient_is_asked_for(host, transformed):
    effect = JaxEffect("reference:soft-clip", estimator=EXACT, audio_gradient="straight-through", host=host)
    f, (x, p) = weighted(effect, audio(seed=1)), (audio(), settings())
    rendered = []
    for function in (effect, jax.grad(f, 0), jax.grad(f, 1), jax.value_and_grad(f, (0, 1))):
        before = host.renders
        jax.block_until_ready(transformed(function)(x, p))
        rendered.append(host.renders - before)
    probes = 3 * 2 * 2
    assert rendered == [3, 3, 3 + probes, 3 + probes]


def test_the_audio_gradient_is_what_was_chosen():
    x, p, weight = audio(), settings(count=1), audio(seed=1)
    assert not np.any(jax.grad(weighted(JaxEffect("reference:gain"), weight))(x, p))
    through = JaxEffect("reference:gain", audio_gradient="straight-through")
    np.testing.assert_allclose(jax.jit(jax.grad(weighted(through, weight)))(x, p), weight)
    lti = JaxEffect("reference:gain", audio_gradient="lti")
    gain = np.asarray(lti(np.ones((3, 1, 8), np.float32), p))[:, :, :1]
    np.testing.assert_allclose(jax.grad(weighted(lti, weight))(x, p), gain * weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_types_are_kept(clip, kind):
    x, p = jnp.asarray(audio(), kind), jnp.asarray(settings(), kind)
    assert clip(x, p).dtype == kind
    assert jax.grad(lambda p: clip(x, p).astype(jnp.float32).sum())(p).dtype == kind
    assert jax.grad(lambda p: clip.loss(x, p, mse, x))(p).dtype == kind


def test_shapes_with_and_without_a_batch(clip):
    x, p = audio(), settings()
    np.testing.assert_allclose(clip(x[0], p[0]), clip(x, p)[0])
    np.testing.assert_allclose(clip(x[:1], p), clip(np.repeat(x[:1], 3, 0), p))
    assert clip(x[:0], p[:0]).shape == (0, 2, 1000)
    assert clip(x[:, :, :0], p).shape == (3, 2, 0)
    gradient = jax.grad(lambda p: clip(x, p).sum())(p[:1])
    np.testing.assert_allclose(gradient[0], jax.grad(lambda p: clip(x, p).sum())(np.repeat(p[:1], 3, 0)).sum(0), rtol=1e-4)


# randomness


def test_a_key_decides_on_the_probes():
    effect = JaxEffect("reference:soft-clip", estimator="spsa")
    x, p = audio(), settings()
    gradient = jax.jit(jax.grad(weighted(effect, audio(seed=1)), argnums=1))
    keys = jax.random.split(jax.random.key(0), 8)
    found = [gradient(x, p, key) for key in keys]
    np.testing.assert_array_equal(gradient(x, p, keys[0]), found[0])
    np.testing.assert_array_equal(gradient(x, p, jax.random.PRNGKey(7)), gradient(x, p, jax.random.key(7)))
    assert len(np.unique(found, axis=0)) > 1


def test_without_a_key_the_settings_decide_on_the_probes():
    """So a loop without keys does not probe along the same direction at every step."""
    effect = JaxEffect("reference:soft-clip", estimator="spsa")
    x, weight = audio(1), audio(1, seed=1)
    signs = set()
    for p in settings(20):
        gradient = jax.grad(weighted(effect, weight), argnums=1)
        found = gradient(x, p[None])
        np.testing.assert_array_equal(found, gradient(x, p[None]))
        signs.add(bool(found[0, 0] * found[0, 1] > 0))
    assert signs == {True, False}


# training


@pytest.mark.plugins
def test_optax_finds_the_hidden_settings_of_a_plugin():
    effect = JaxEffect("dawdreamer:http://drobilla.net/plugins/mda/Overdrive", parameters=["Drive", "Muffle"])
    x, hidden = audio(1, samples=20000), jnp.array([[0.7, 0.3]])
    target = effect(x, hidden)
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, 150))

    @jax.jit
    def step(p, state):
        gradient = jax.grad(lambda p: mse(effect(x, p), target))(p)
        updates, state = optimizer.update(gradient, state)
        return jnp.clip(optax.apply_updates(p, updates), 0, 1), state

    p = jnp.full((1, 2), 0.5)
    state = optimizer.init(p)
    for _ in range(150):
        p, state = step(p, state)
    np.testing.assert_allclose(p, hidden, atol=0.02)


def test_the_loss_mode_finds_a_delay_time_where_cotangents_do_not():
    effect = JaxEffect(
        "pedalboard-builtin:Delay",
        16000,
        parameters=["delay_seconds"],
        fixed={"mix": 0.5, "feedback": 0.0},
        estimator="spsa:step=0.02",
    )
    x = audio(1, 1, 4000)[0] * np.exp(-np.arange(4000) / 400).astype(np.float32)
    hidden, start = (jnp.asarray(effect.parameter_space.point({"delay_seconds": t}), jnp.float32) for t in ("100 ms", "150 ms"))
    target = effect(x, hidden)

    def arrival(y, target):
        return mse(*(jnp.cumsum(jnp.abs(a), -1) / 1600 for a in (y, target)))

    def by_loss(p, key):
        return effect.loss(x, p, arrival, target, key=key)

    def by_waveform(p, key):
        return arrival(effect(x, p, key), target)

    def found(loss):
        optimizer = optax.adam(0.004)
        gradient = jax.jit(jax.grad(loss))
        p, state = start, optimizer.init(start)
        for key in jax.random.split(jax.random.key(0), 60):
            updates, state = optimizer.update(gradient(p, key), state)
            p = jnp.clip(optax.apply_updates(p, updates), 0, 1)
        return float(p[0])

    assert abs(found(by_loss) - hidden[0]) < 0.01
    assert abs(found(by_waveform) - hidden[0]) > 0.03


# the loss mode


@pytest.mark.parametrize("transformed", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("per_item", [True, False])
def test_the_loss_mode_is_that_of_the_torch_module(clip, transformed, per_item):
    layer = bg.DifferentiableEffect("reference:soft-clip", estimator=EXACT)
    x, p, target = audio(), settings(), audio(seed=1)
    dim = (1, 2) if per_item else (0, 1, 2)
    point = torch.from_numpy(p).requires_grad_()
    expected = layer.loss(torch.from_numpy(x), point, lambda y, t: (y - t).square().mean(dim), torch.from_numpy(target))
    expected.backward()

    function = jax.value_and_grad(lambda x, p, t: clip.loss(x, p, lambda y, t: ((y - t) ** 2).mean(dim), t), (0, 1))
    value, (to_audio, to_point) = transformed(function)(x, p, target)
    np.testing.assert_allclose(value, expected.detach(), rtol=1e-5)
    np.testing.assert_allclose(to_point, point.grad, rtol=1e-2, atol=1e-2 * float(point.grad.abs().max()))
    assert not to_audio.any()


def test_a_mapped_loss_is_one_batch(clip, host):
    def gradient(x, p, target):
        return jax.grad(lambda p: clip.loss(x, p, mse, target))(p)

    batch = audio(), settings(), audio(seed=1)
    expected = 3 * gradient(*batch)  # of the sum; the loss of a batch is the mean
    calls = host.calls
    found = jax.jit(jax.vmap(gradient))(*batch)
    np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2 * np.abs(expected).max())
    assert host.calls == 2 * calls


def test_the_loss_mode_probes_only_for_a_gradient(clip, host):
    clip.loss(audio(), settings(), mse, audio())
    assert host.renders == 3


def test_the_loss_mode_gives_exact_gradients_to_what_is_inside_the_loss(clip):
    x, p, target = audio(), settings(), jnp.asarray(audio(seed=1))

    def loss(scale, target, p):
        return clip.loss(x, p, lambda y, t: mse(scale * y, t), target)

    def exact(scale, target):
        return mse(scale * clip(x, p), target)

    found = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(2.0, target, p)
    for gradient, right in zip(found, jax.grad(exact, argnums=(0, 1))(2.0, target), strict=False):
        np.testing.assert_allclose(gradient, right, rtol=1e-4, atol=1e-7)
    assert np.abs(found[2]).min() > 0


def test_the_default_estimator_for_one_recording_is_told_the_target():
    effect = JaxEffect("reference:soft-clip", estimator="auto:items=1")
    x, hidden = audio(1), settings(1)
    target = effect(x, hidden)
    gradient = jax.jit(jax.value_and_grad(lambda p: effect.loss(x, p, mse, target)))
    p, losses = jnp.full((1, 2), 0.5), []
    optimizer = optax.adam(0.05)
    state = optimizer.init(p)
    for _ in range(30):
        loss, found = gradient(p)
        losses.append(float(loss))
        updates, state = optimizer.update(found, state)
        p = jnp.clip(optax.apply_updates(p, updates), 0, 1)
    assert min(losses) < 0.05 * losses[0]


@pytest.mark.parametrize(
    ("loss_fn", "targets", "said"),
    [
        (lambda y: y.mean(-1), (), r"shape \[3, 2\] for y \[3, 2, 1000\]; it must return \[B\]"),
        (lambda y: y.argmax(), (), "loss_fn returned int32"),
        (lambda y: None, (), "loss_fn returned NoneType"),
        (None, (), "loss_fn=None must be a function"),
        (mse, (audio(2),), r"batch size 3 first, got \[2, 2, 1000\]"),
    ],
)
def test_a_wrong_loss_says_what_is_right(clip, loss_fn, targets, said):
    with pytest.raises(errors.BlackboxGradError, match=said):
        jax.eval_shape(lambda p: clip.loss(audio(), p, loss_fn, *targets), settings())


# errors


@pytest.mark.parametrize(
    ("x", "p", "error", "said"),
    [
        (audio()[0, 0], settings(), errors.AudioError, r"\[B, C, T\] or \[C, T\], got \[1000\]"),
        (audio()[:, :0], settings(), errors.AudioError, r"got \[3, 0, 1000\]"),
        (audio().astype(int), settings(), errors.AudioError, r"floating point, got int32; write x.astype\(jnp.float32\)"),
        (audio(), settings().astype(int), errors.ParameterError, "parameters p must be floating point"),
        (audio(), settings(count=3), errors.ParameterError, r"\[B, 2\] or \[2\] \(Drive, Level\), got \[3, 3\]"),
        (audio(), settings()[0], errors.ParameterError, "give both a batch, or neither"),
        (audio(), settings(2), errors.ParameterError, "batch of 3 and parameters one of 2"),
    ],
)
def test_wrong_shapes_and_types_are_refused_while_tracing(clip, host, x, p, error, said):
    with pytest.raises(error, match=f"reference:soft-clip.*{said}"):
        jax.eval_shape(clip, x, p)
    assert host.renders == 0


def test_settings_outside_the_box_are_refused(clip):
    outside = settings() + 1
    with pytest.raises(errors.ParameterError, match=r"'Drive' \(item 0\): 1\.\d+ is not in \[0, 1\]"):
        clip(audio(), outside)
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"ParameterError: .*'Drive' \(item 0\): 1\.\d+ is not in \[0, 1\]"):
        jax.block_until_ready(jax.jit(clip)(audio(), outside))


def test_a_second_derivative_is_refused(clip):
    x, target = audio(), audio(seed=1)
    for loss in (lambda p: mse(clip(x, p), target), lambda p: clip.loss(x, p, mse, target)):
        for twice in (jax.grad(lambda p, f=loss: jax.grad(f)(p).sum()), jax.hessian(loss)):
            with pytest.raises(errors.SecondDerivativeError, match=r"stop_gradient"):
                twice(settings())
        stopped = jax.grad(lambda p, f=loss: f(p) + jax.grad(f)(jax.lax.stop_gradient(p)).sum())(settings())
        np.testing.assert_allclose(stopped, jax.grad(loss)(settings()), rtol=1e-4)


def test_forward_mode_is_refused(clip):
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda p: clip(audio(), p), (settings(),), (settings(),))


def test_a_render_with_nan_raises_or_is_silence(third_party):
    x, p = audio(2, 1), np.array([[0.3], [0.9]], np.float32)
    strict = JaxEffect("faulty:nan", host=bg.InProcessHost())
    with pytest.raises(errors.NonFiniteAudioError, match=r"faulty:nan returned NaN or infinity .*Level=0\.9"):
        strict(x, p)
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"faulty:nan returned NaN or infinity .*Level=0\.9"):
        jax.block_until_ready(jax.jit(strict)(x, p))
    lenient = JaxEffect("faulty:nan", host=bg.InProcessHost(), on_nonfinite="silence", estimator="spsa:step=0.05")
    assert not jax.jit(lenient)(x, p)[1].any()
    for loss in (lambda p: mse(lenient(x, p), x), lambda p: lenient.loss(x, p, mse, x)):
        gradient = jax.jit(jax.grad(loss))(p)
        assert gradient[0] != 0
        assert gradient[1] == 0


def test_an_error_in_a_probe_of_the_loss_mode_arrives(third_party):
    effect = JaxEffect("faulty:raise", host=bg.InProcessHost(), estimator="finite-difference:step=0.1")
    gradient = jax.jit(jax.grad(lambda p: effect.loss(audio(1, 1), p, mse, audio(1, 1))))
    for _ in range(2):
        with pytest.raises(jax.errors.JaxRuntimeError, match="not in the mood"):
            jax.block_until_ready(gradient(np.array([[0.45]], np.float32)))
    assert gradient(np.array([[0.3]], np.float32)) != 0


# hosts and threads

ON_ONE_CORE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax, jax.numpy as jnp, numpy as np
import blackbox_grad as bg
from blackbox_grad_adapters.jax import JaxEffect
effect = JaxEffect("reference:gain", host=bg.InProcessHost(), estimator="spsa")
x, p = jnp.ones((4, 2, 50_000)), jnp.full((4, 1), 0.5)

@jax.jit
def gradient(x, p):
    def loss(p):
        return jnp.mean((effect(x, p) - x) ** 2) + effect.loss(x, p, lambda y, t: jnp.mean((y - t) ** 2), x)
    return jax.grad(loss)(p)

found = [gradient(x + 0.01 * step, p) for step in range(20)]
print(np.isfinite(found).all())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a way to leave cores unused")
def test_long_audio_on_one_core_does_not_hang():
    done = subprocess.run([sys.executable, "-c", ON_ONE_CORE], capture_output=True, text=True, timeout=120)
    assert done.stdout == "True\n", done.stderr


def test_many_threads_and_a_pool_do_not_hang():
    x, p = audio(2, samples=100_000), settings(2)
    with bg.ProcessPool(hosts=2) as pool:
        effect = JaxEffect("reference:soft-clip", host=pool, estimator=EXACT)
        by_waveform = jax.jit(jax.grad(lambda p: mse(effect(x, p), x)))
        by_loss = jax.jit(jax.grad(lambda p: effect.loss(x, p, mse, x)))
        expected = by_waveform(p), by_loss(p)
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda i: np.asarray((by_waveform, by_loss)[i % 2](p)), range(32)))
    for i, gradient in enumerate(found):
        np.testing.assert_array_equal(gradient, expected[i % 2])


# the object


def test_a_copy_renders_the_same(clip):
    copied = pickle.loads(pickle.dumps(JaxEffect("reference:soft-clip")))
    np.testing.assert_array_equal(copied(audio(), settings()), clip(audio(), settings()))
    assert copied.parameter_space.names == ("Drive", "Level")
    assert "reference:soft-clip" in repr(copied)


WITHOUT_JAX = """
import sys
sys.modules["jax"] = None
import blackbox_grad_adapters
from blackbox_grad_adapters.jax import JaxEffect
"""


def test_a_missing_jax_is_named_with_the_way_out():
    done = subprocess.run([sys.executable, "-c", WITHOUT_JAX], capture_output=True, text=True, timeout=120)
    assert "MissingDependencyError" in done.stderr
    assert install_line("jax") in done.stderr
