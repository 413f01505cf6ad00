"""JAX: an effect as a function that `jax.grad`, `jax.jit` and `jax.vmap` transform. The names below are loaded when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox_grad.dependencies import lazy_names, library

if TYPE_CHECKING:
    from blackbox_grad_adapters.jax.effect import JaxEffect as JaxEffect

library("jax", "the JAX front end", "jax")  # what is missing is said here; the modules inside import it plainly

_HOME = {"JaxEffect": "effect"}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOME)
