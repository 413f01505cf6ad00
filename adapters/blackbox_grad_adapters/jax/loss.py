"""The loss mode: the gradient of a loss from differences of the loss itself, which JAX evaluates."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from blackbox_grad.errors import EstimatorError
from blackbox_grad_adapters.jax.callbacks import Callbacks
from blackbox_grad_adapters.jax.primitive import call

#: `losses(y: [B, C, T], *targets: [B, …]) -> [B]`
LossPerItem: TypeAlias = Callable[..., Any]


def per_item(loss_fn: Callable[..., Any], single: bool) -> LossPerItem:
    """A loss function as one that returns a loss for each item.

    Args:
        loss_fn: `loss_fn(y, *targets)` -> `[B]`, or a single number: then it is called for one item at a time.
        single: whether it is made for `y: [C, T]`, without a batch.
    """
    if not callable(loss_fn):
        raise EstimatorError(f"loss_fn={loss_fn!r} must be a function of y and the targets")

    def one(*arrays: Any) -> Any:
        return loss_fn(*arrays) if single else loss_fn(*(a[None] for a in arrays))

    def losses(y: jax.Array, *targets: jax.Array) -> Any:
        batch = len(y)
        arrays = [jax.ShapeDtypeStruct(a.shape[single:], a.dtype) for a in (y, *targets)]
        found = jax.eval_shape(loss_fn, *arrays)
        if not (hasattr(found, "dtype") and jnp.issubdtype(found.dtype, jnp.floating)):
            what = getattr(found, "dtype", type(found).__name__)
            raise EstimatorError(f"loss_fn returned {what}; it must return a floating-point array")
        if found.shape == () or (found.shape == (1,) == (batch,)):
            return jax.vmap(lambda *items: one(*items).reshape(()))(y, *targets)
        if single or found.shape != (batch,):
            allowed = "a single number" if single else "[B], one loss an item, or a single number"
            raise EstimatorError(
                f"loss_fn returned the shape {list(found.shape)} for y {list(arrays[0].shape)}; it must return {allowed}"
            )
        return loss_fn(y, *targets)

    return losses


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def estimated(
    callbacks: Callbacks, losses: LossPerItem, seed: Any, x: Any, p: Any, y: Any, finite: Any, targets: Any, constants: Any
) -> Any:
    """0 for each item, `[B]`, with the gradient of `losses(f(x, p), *targets, *constants)` for `x` and `p`."""
    return jnp.zeros(len(y), jnp.float32)


def _forward(callbacks: Callbacks, losses: LossPerItem, *arguments: Any) -> Any:
    values = jax.tree.map(lambda argument: argument.value, arguments, is_leaf=_is_argument)
    wanted = tuple(() if arguments[i].perturbed else None for i in (1, 2))  # a structure, so it is known while tracing
    return jnp.zeros(len(values[3]), jnp.float32), (values, wanted)


def _is_argument(argument: Any) -> bool:
    return hasattr(argument, "perturbed")


def _backward(callbacks: Callbacks, losses: LossPerItem, saved: Any, upstream: Any) -> Any:
    (seed, x, p, y, finite, targets, constants), wanted = saved
    none = (None,) * 7
    to_audio, to_point = wanted[0] is not None and callbacks.renderer.audio_gradient is not None, wanted[1] is not None
    if isinstance(upstream, jax.custom_derivatives.SymbolicZero) or not (to_audio or to_point):
        return none
    recordings = [t.astype(jnp.float32) if jnp.issubdtype(t.dtype, jnp.floating) else t for t in targets]
    cotangent = jax.grad(lambda y: losses(y, *targets, *constants).sum())(y)
    shapes = [jax.ShapeDtypeStruct((), jnp.int32), *(jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in (y, p))]
    if callbacks.renderer.audio_gradient is not None:
        shapes.append(jax.ShapeDtypeStruct(x.shape, jnp.float32))

    def turn(state: Any) -> Any:
        _, number, sounds, *_ = state
        told = losses(sounds, *targets, *constants).astype(jnp.float32)
        given = jnp.array([to_audio, to_point]), seed, x, p, y, finite, cotangent, *recordings
        number, *found = call(callbacks.loss_turn, shapes, number, told, *given)
        return number != 0, number, *found

    first = jnp.array(True), jnp.int32(0), y, *(jnp.zeros(s.shape, s.dtype) for s in shapes[2:])
    _, _, _, gradient, *audio = jax.lax.while_loop(lambda state: state[0], turn, first)
    to_x = audio[0] * upstream[:, None, None] if to_audio else None
    to_p = gradient * upstream[:, None] if to_point else None
    return None, to_x, to_p, *none[3:]


estimated.defvjp(_forward, _backward, symbolic_zeros=True)
