"""An effect for autograd and `torch.compile`: rendering and its vector-Jacobian product.

In eager mode they are one autograd function. For a compiler they are two opaque operators. These find their renderer by a number,
because an operator takes only tensors and plain values.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from blackbox_grad.errors import SecondDerivativeError
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.layer.renderer import Renderer

_renderers: weakref.WeakValueDictionary[int, Renderer] = weakref.WeakValueDictionary()

_numbers = itertools.count(1)


def register(renderer: Renderer) -> int:
    number = next(_numbers)
    _renderers[number] = renderer
    return number


def draw_seed(needed: bool = True) -> Tensor:
    """`[1] int64`, from torch's default CPU generator, which is left alone where no seed is needed."""
    return torch.randint(0, 2**62, (1,), dtype=torch.int64) if needed else torch.zeros(1, dtype=torch.int64)


def seeded(seed: Tensor) -> torch.Generator:
    """An estimator's randomness, from what `draw_seed` drew."""
    return torch.Generator().manual_seed(int(seed))


def render(renderer: Renderer, handle: int, x: Tensor, p: Tensor, needs_seed: bool) -> Tensor:
    """`f(x, p)`, differentiable by estimates."""
    if torch.compiler.is_compiling():
        compiled: Tensor = torch.ops.blackbox_grad.render(x, p, handle, needs_seed)[0]
        return compiled
    y: Tensor = _Rendered.apply(x, p, renderer, needs_seed)[0]  # type: ignore[no-untyped-call]
    return y


class _Rendered(torch.autograd.Function):
    """Keeps the audio where the hosts can read it, so that the way back need not copy it again."""

    @staticmethod
    def forward(x: Tensor, p: Tensor, renderer: Renderer, needs_seed: bool) -> tuple[Any, ...]:
        audio = renderer.share(x)
        return *renderer.forward(x, p, audio), draw_seed(needs_seed), audio

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        x, p, ctx.renderer, _ = inputs
        y, finite, seed, ctx.audio = output
        ctx.save_for_backward(x, p, y, finite, seed)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, p, y, finite, seed = ctx.saved_tensors
        problem = ctx.renderer.cotangent_problem(x, p, y, finite, lambda: cotangent, seeded(seed), ctx.audio)
        ctx.audio = None  # a second backward through the same graph is rare, and copies
        return *_final(x, p, *ctx.renderer.gradients(problem, x, p, finite, *ctx.needs_input_grad[:2])), None, None


@torch.library.custom_op("blackbox_grad::render", mutates_args=())
def _render_op(x: Tensor, p: Tensor, handle: int, needs_seed: bool) -> tuple[Tensor, Tensor, Tensor]:
    """`f(x, p)`; which items are finite, `[B]`; the seed with which its gradient will be estimated."""
    renderer = _renderers[handle]
    return *renderer.forward(x, p, renderer.share(x)), draw_seed(needs_seed)


@_render_op.register_fake
def _(x: Tensor, p: Tensor, handle: int, needs_seed: bool) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    return y, torch.empty(x.shape[0], dtype=torch.bool), torch.empty(1, dtype=torch.int64)


@torch.library.custom_op("blackbox_grad::vjp", mutates_args=())
def _vjp_op(
    x: Tensor,
    p: Tensor,
    y: Tensor,
    finite: Tensor,
    seed: Tensor,
    cotangent: Tensor,
    handle: int,
    to_audio: bool,
    to_point: bool,
) -> tuple[Tensor, Tensor]:
    """Estimates of `ȳᵀ ∂f/∂x` and `ȳᵀ ∂f/∂p`."""
    renderer = _renderers[handle]
    problem = renderer.cotangent_problem(x, p, y, finite, lambda: cotangent, seeded(seed))
    to_x, to_p = renderer.gradients(problem, x, p, finite, to_audio, to_point)
    return torch.zeros_like(x) if to_x is None else to_x, torch.zeros_like(p) if to_p is None else to_p


@_vjp_op.register_fake
def _(x: Tensor, p: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(p)


def _save_for_render(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, p, handle, _ = inputs
    ctx.save_for_backward(x, p, *output)
    ctx.handle = handle
    ctx.renderer = _renderers.get(handle)  # keeps a module alive that only the graph still needs


def _backward_of_render(ctx: Any, cotangent: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    to_audio, to_point = ctx.needs_input_grad[:2]
    to_x, to_p = torch.ops.blackbox_grad.vjp(*ctx.saved_tensors, cotangent, ctx.handle, to_audio, to_point)
    return (to_x if to_audio else None), (to_p if to_point else None), None, None


def _refuse_second_derivative(ctx: Any, *_: Any) -> Any:
    raise SecondDerivativeError(
        "the gradient of an effect is an estimate and cannot be differentiated again; leave out create_graph=True, or detach the "
        "gradient before it enters a loss"
    )


torch.library.register_autograd("blackbox_grad::render", _backward_of_render, setup_context=_save_for_render)


torch.library.register_autograd("blackbox_grad::vjp", _refuse_second_derivative)


class EstimatedLoss(torch.autograd.Function):
    """The loss mode: the values of the losses, with estimated gradients for `x` and `p`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        p: Tensor,
        losses: Tensor,
        finite: Tensor,
        renderer: Renderer,
        problem: Callable[[], Problem],
    ) -> Tensor:
        ctx.save_for_backward(x, p, finite)
        ctx.renderer, ctx.problem = renderer, problem
        return losses.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        x, p, finite = ctx.saved_tensors
        to_audio, to_point = ctx.needs_input_grad[:2]
        with torch.no_grad():
            to_x, to_p = ctx.renderer.gradients(ctx.problem(), x, p, finite, to_audio, to_point)
            weight = upstream[0]
            to_x = None if to_x is None else to_x * weight[:, None, None].to(x)
            to_p = None if to_p is None else to_p * weight[:, None].to(p)
        return *_final(x, p, to_x, to_p), None, None, None, None


class _Final(torch.autograd.Function):
    """The identity of a gradient, which depends on `x` and `p` and refuses to be differentiated."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, p: Tensor) -> Tensor:
        return gradient.clone()

    backward = staticmethod(_refuse_second_derivative)


def _final(x: Tensor, p: Tensor, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    """The gradients, refusing to be differentiated if autograd would (`create_graph=True`)."""
    if not torch.is_grad_enabled():
        return gradients
    return tuple(None if g is None else _Final.apply(g.detach(), x, p) for g in gradients)  # type: ignore[no-untyped-call]
