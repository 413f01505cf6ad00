"""`JaxEffect`: an effect as a function of JAX, with an estimated gradient."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from blackbox_grad import EffectSpec, Estimator, Host, ParameterSpace, Renderer
from blackbox_grad.effects import as_spec, warn_of_dead
from blackbox_grad.errors import AudioError, ParameterError
from blackbox_grad.parameters import Selection
from blackbox_grad_adapters.jax.callbacks import Callbacks
from blackbox_grad_adapters.jax.loss import estimated, per_item
from blackbox_grad_adapters.jax.primitive import call


class JaxEffect:
    """`y = effect(x, p)`: an audio effect with a gradient for its parameters.

    Args:
        effect: an address ("pedalboard:ZamTube.vst3", a chain `a | b`), or an `EffectSpec`, which then brings `sample_rate`,
            `parameters` and `fixed` itself.
        sample_rate: Hz.
        parameters: the free parameters, in the order of `p`: names, "continuous" (default), "audible" (the continuous ones
            that change the sound while the others are held), "trainable" or "all".
        fixed: values of others, by name: normalised, or text with a unit ("350 ms").
        estimator: of the gradient of the parameters: an `Estimator`, or its name with options ("spsa:samples=4,step=0.05").
        audio_gradient: of the gradient of `x`, in the same way: "lti", "straight-through"; None for 0.
        host: where effects are rendered; by default a pool of processes that everything shares. Under `jit` a call returns before
            it has rendered: `jax.block_until_ready(y)` before you close a host.
        on_nonfinite: what to do when a render holds NaN or infinity: "raise" `NonFiniteAudioError`, or put "silence" in its
            place (its gradient is then 0).
        averages: renders of which the mean counts as one probe; by default 1, and 8 for a plug-in that is not repeatable.
        options: for the backend (`preset=…`).

    `jax.grad`, `jax.jit`, `jax.vmap` and `jax.lax.scan` work; a mapped call is one batch. There are no second derivatives, and
    no forward-mode ones (`jax.jvp`).

    An error raised while rendering is one of `blackbox_grad.errors`; under `jit` its message is at the end of a
    `jax.errors.JaxRuntimeError`.

    Attributes:
        renderer: what renders and estimates.
    """

    def __init__(
        self,
        effect: str | os.PathLike[str] | EffectSpec,
        sample_rate: float = 44100.0,
        *,
        parameters: Selection = "continuous",
        fixed: Mapping[str, float | str] | None = None,
        estimator: str | Estimator = "auto",
        audio_gradient: str | Estimator | None = None,
        host: str | Host | None = None,
        on_nonfinite: Literal["raise", "silence"] = "raise",
        averages: int | None = None,
        **options: Any,
    ) -> None:
        spec = as_spec(effect, sample_rate, parameters, fixed, **options)
        self.renderer = Renderer(spec, host, estimator, audio_gradient, on_nonfinite, averages)
        warn_of_dead(self.renderer.info.spec, len(self.renderer.space))
        self._callbacks = Callbacks(self.renderer)

    @property
    def parameter_space(self) -> ParameterSpace:
        """Names, kinds, defaults and units of the `P` free parameters."""
        return self.renderer.space

    def __repr__(self) -> str:
        names = list(self.parameter_space.names)
        return f"JaxEffect({self.renderer.spec.address!r}, parameters={names}, estimator={self.renderer.estimator!r})"

    def __call__(self, x: Any, p: Any, key: Any = None) -> jax.Array:
        """Render.

        Args:
            x: audio `[B, C, T]`, or `[C, T]`, of any floating type. `B` may be 1 for one recording at several settings.
            p: parameters `[B, P]` in [0, 1], or `[P]`. `B` may be 1 for several recordings at one setting.
            key: of the estimator's randomness, as from `jax.random.key`. Without one it comes from the values of `p`: the same
                call has the same gradient, and one with other values another.

        Returns:
            `[B, C, T]`, or `[C, T]`, of the type of `x`; rendered in float32.

        Raises:
            AudioError, ParameterError: wrong shapes or types, while tracing; wrong values, while rendering.
            NonFiniteAudioError: the effect returned NaN or infinity.
            RenderError: the effect failed, or took too long.
        """
        x, p, single = self._checked(x, p)
        y = _rendered(self._callbacks, x.astype(jnp.float32), p.astype(jnp.float32), _seed(key)).astype(x.dtype)
        result: jax.Array = y[0] if single else y
        return result

    def loss(self, x: Any, p: Any, loss_fn: Callable[..., Any], *targets: Any, key: Any = None) -> jax.Array:
        """`loss_fn(effect(x, p), *targets)`, its gradient estimated from differences of the *loss itself*.

        Where a parameter moves phase (delay times, oscillators), a vector-Jacobian product at the current waveform says almost
        nothing, and the loss after a larger step does. A probe costs one evaluation of the loss. Use it under `jax.jit`:
        otherwise each call compiles again.

        Args:
            x, p, key: as for a call.
            loss_fn: `loss_fn(y, *targets)` in `jax.numpy` -> `[B]`, one loss an item. One that returns a single number (the mean
                over its batch, as most do) is called for one item at a time. For `x: [C, T]` it is given `y: [C, T]`.
            targets: arrays `[B, …]` for `loss_fn`, or `[…]` for `x: [C, T]`.

        Returns:
            The mean over the batch, a scalar. It carries estimated gradients for `p`, and exact ones for the targets and for
            weights inside `loss_fn`. `x` gets what `audio_gradient` says.
        """
        x, p, single = self._checked(x, p)
        kind, batch = x.dtype, len(x)
        compared = tuple(_target(t, batch, single) for t in targets)
        losses = per_item(loss_fn, single)
        x, p, seed = x.astype(jnp.float32), p.astype(jnp.float32), _seed(key)
        y, finite = _render(self._callbacks, jax.lax.stop_gradient(x), jax.lax.stop_gradient(p))

        def of_kind(y: Any, *others: Any) -> Any:
            return losses(y.astype(kind), *others)

        # weights inside loss_fn become arguments of its own, so that a gradient can be taken for them around the estimate
        closed, constants = jax.closure_convert(of_kind, y, *compared)
        estimate = estimated(self._callbacks, closed, seed, x, p, y, finite, compared, tuple(constants))
        found: jax.Array = (of_kind(y, *compared) + estimate).mean()
        return found

    def _checked(self, x: Any, p: Any) -> tuple[jax.Array, jax.Array, bool]:
        """`[B, C, T]` and `[B, P]` of one batch size, and whether they came without a batch."""
        where, space = self.renderer.spec.address, self.parameter_space
        x, p = jnp.asarray(x), jnp.asarray(p)
        for name, array, error in (("audio x", x, AudioError), ("parameters p", p, ParameterError)):
            if not jnp.issubdtype(array.dtype, jnp.floating):
                raise error(f"{where}: {name} must be floating point, got {array.dtype}; write {name[-1]}.astype(jnp.float32)")
        if x.ndim not in (2, 3) or x.shape[-2] == 0:
            raise AudioError(
                f"{where}: audio x must have the shape [B, C, T] or [C, T], got {list(x.shape)}; for mono write x[..., None, :]"
            )
        if p.ndim not in (1, 2) or p.shape[-1] != len(space):
            raise ParameterError(
                f"{where}: parameters p must have the shape [B, {len(space)}] or [{len(space)}] ({', '.join(space.names)}), got "
                f"{list(p.shape)}"
            )
        if x.ndim != p.ndim + 1:
            raise ParameterError(
                f"{where}: audio x has the shape {list(x.shape)} and parameters p {list(p.shape)}; give both a batch, or neither: "
                "x[None] and p[None] are batches of 1, which are repeated"
            )
        single = x.ndim == 2
        if single:
            x, p = x[None], p[None]
        sizes = {len(x), len(p)}
        if len(sizes) == 2 and 1 not in sizes:
            raise ParameterError(f"{where}: audio has a batch of {len(x)} and parameters one of {len(p)}")
        batch = len(x) * len(p) if 1 in sizes else len(x)
        return jnp.broadcast_to(x, (batch, *x.shape[1:])), jnp.broadcast_to(p, (batch, len(space))), single


def _seed(key: Any) -> jax.Array:
    """`[N] uint32`, empty without a key."""
    if key is None:
        return jnp.zeros(0, jnp.uint32)
    return jax.random.bits(key, (2,), jnp.uint32)


def _target(target: Any, batch: int, single: bool) -> jax.Array:
    target = jnp.asarray(target)
    target = target[None] if single else target
    if target.ndim and len(target) in (1, batch):
        return jnp.broadcast_to(target, (batch, *target.shape[1:]))
    raise AudioError(f"a target of the loss must have the batch size {batch} first, got {list(target.shape)}")


def _render(callbacks: Callbacks, x: Any, p: Any) -> list[jax.Array]:
    shapes = jax.ShapeDtypeStruct(x.shape, jnp.float32), jax.ShapeDtypeStruct(x.shape[:1], jnp.bool_)
    return call(callbacks.render, shapes, x, p)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rendered(callbacks: Callbacks, x: Any, p: Any, seed: Any) -> Any:
    """`f(x, p)`, differentiable by estimates."""
    return _render(callbacks, x, p)[0]


def _forward(callbacks: Callbacks, x: Any, p: Any, seed: Any) -> Any:
    y, finite = _render(callbacks, x.value, p.value)
    wanted = tuple(() if argument.perturbed else None for argument in (x, p))  # a structure, so it is known while tracing
    return y, (seed.value, x.value, p.value, y, finite, wanted)


def _backward(callbacks: Callbacks, saved: Any, cotangent: Any) -> Any:
    *given, wanted = saved
    x, p = given[1:3]
    has_audio = callbacks.renderer.audio_gradient is not None
    to_audio, to_point = wanted[0] is not None and has_audio, wanted[1] is not None
    if isinstance(cotangent, jax.custom_derivatives.SymbolicZero) or not (to_audio or to_point):
        return None, None, None
    shapes = [jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in ((p, x) if has_audio else (p,))]
    gradient, *audio = call(callbacks.gradients, shapes, jnp.array([to_audio, to_point]), *given, cotangent)
    return audio[0] if to_audio else None, gradient if to_point else None, None


_rendered.defvjp(_forward, _backward, symbolic_zeros=True)
