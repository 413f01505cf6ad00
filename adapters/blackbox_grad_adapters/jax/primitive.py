"""A call from JAX to Python, as a primitive: eagerly an ordinary call, under `jit` a callback, under `vmap` one call for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from numpy.typing import NDArray

from blackbox_grad.errors import SecondDerivativeError

Array: TypeAlias = NDArray[Any]

#: `[*L, …]` for each argument and each result; `vmap` puts the axes `L` in front, of size 1 where an argument is not mapped
Callback: TypeAlias = Callable[..., Sequence[Array]]

# `jax.pure_callback` hands its callback arrays of JAX, which are copied by the same threads that wait for the callback. On a
# machine of one core, or with as many programs as cores, reading them never ends (github.com/jax-ml/jax/issues/24255). Here the
# callback is handed arrays of NumPy.
_call = Primitive("blackbox_grad_call")
_call.multiple_results = True


def call(callback: Callback, results: Sequence[jax.ShapeDtypeStruct], *arrays: jax.Array) -> list[jax.Array]:
    """What `callback` returns.

    Args:
        callback: a function that uses no JAX. JAX may leave out a call whose results nobody uses. An error that it raises arrives
            as it is, and under `jit` as the text of a `jax.errors.JaxRuntimeError`.
        results: shapes and types of what it returns.
        arrays: its arguments.
    """
    found: list[jax.Array] = _call.bind(*arrays, callback=callback, results=tuple((r.shape, r.dtype) for r in results))
    return found


def _eagerly(*arrays: jax.Array, callback: Callback, results: Any) -> list[jax.Array]:
    return [jnp.asarray(found) for found in callback(*(np.asarray(a) for a in arrays))]


def _abstractly(*arrays: Any, callback: Callback, results: Any) -> list[Any]:
    return [jax.core.ShapedArray(shape, kind) for shape, kind in results]


def _lowered(ctx: Any, *arrays: Any, callback: Callback, results: Any) -> Any:
    def called(*given: Any) -> tuple[Array, ...]:
        return tuple(callback(*(np.asarray(a) for a in given)))

    kinds = list(ctx.avals_in), list(ctx.avals_out)
    return mlir.emit_python_callback(ctx, called, None, list(arrays), *kinds, has_side_effect=False)[0]


def _mapped(arrays: Sequence[Any], axes: Sequence[int | None], *, callback: Callback, results: Any) -> Any:
    size = next(a.shape[axis] for a, axis in zip(arrays, axes, strict=True) if axis is not None)
    fronted = [a[None] if axis is None else jnp.moveaxis(a, axis, 0) for a, axis in zip(arrays, axes, strict=True)]
    whole = tuple(((size, *shape), kind) for shape, kind in results)
    return _call.bind(*fronted, callback=callback, results=whole), [0] * len(results)


def _differentiated(*_: Any, **__: Any) -> Any:
    raise SecondDerivativeError(
        "the gradient of an effect is an estimate and cannot be differentiated again; where it enters a loss as a constant, take "
        "it at jax.lax.stop_gradient(p)"
    )


_call.def_impl(_eagerly)
_call.def_abstract_eval(_abstractly)
mlir.register_lowering(_call, _lowered)
batching.primitive_batchers[_call] = _mapped
ad.primitive_jvps[_call] = _differentiated
