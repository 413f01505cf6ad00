"""An effect for autograd and `torch.compile`: rendering and its vector-Jacobian product.

In eager mode they are one autograd function. For a compiler they are two opaque operators. These find their renderer by a number,
because an operator takes only tensors and plain values.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from blackbox_grad.effects.audio import Audio
from blackbox_grad.errors import EstimatorError, SecondDerivativeError
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.layer.loss_function import LossPerItem
from blackbox_grad.layer.renderer import Renderer

#: Whether a gradient is wanted for `x`, and for `p`.
Wanted: TypeAlias = tuple[bool, bool]

_renderers: weakref.WeakValueDictionary[int, Renderer] = weakref.WeakValueDictionary()

_numbers = itertools.count(1)


def register(renderer: Renderer) -> int:
    number = next(_numbers)
    _renderers[number] = renderer
    return number


def draw_seed(needed: bool = True) -> Tensor:
    """`[1] int64`, from torch's default CPU generator, which is left alone where no seed is needed."""
    kind = {"dtype": torch.int64, "device": "cpu"}
    return torch.randint(0, 2**62, (1,), **kind) if needed else torch.zeros(1, **kind)  # type: ignore[call-overload,no-any-return]


def seeded(seed: Tensor) -> torch.Generator:
    """An estimator's randomness, from what `draw_seed` drew."""
    return torch.Generator().manual_seed(int(seed))


def render(renderer: Renderer, handle: int, x: Tensor, p: Tensor, needs_seed: bool) -> Tensor:
    """`f(x, p)`, differentiable by estimates."""
    if torch.compiler.is_compiling():
        compiled: Tensor = torch.ops.blackbox_grad.render(x, p, handle, needs_seed)[0]
        return compiled
    y: Tensor = Rendered.apply(x, p, renderer, needs_seed)[0]  # type: ignore[no-untyped-call]
    return y


def _rendered(
    renderer: Renderer, x: Tensor, p: Tensor, audio: Audio, needs_seed: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`y`, which the caller may change in place; what is finite; the seed of the estimate; `y` as the way back needs it."""
    y, finite = renderer.forward(x, p, audio)
    return y, finite, draw_seed(needs_seed), y.clone() if needs_seed else y.new_empty(0)


class Rendered(torch.autograd.Function):
    """`f(x, p)`, and what the way back needs. The audio stays where the hosts can read it, so that it is not copied again."""

    @staticmethod
    def forward(x: Tensor, p: Tensor, renderer: Renderer, needs_seed: bool) -> tuple[Any, ...]:
        audio = renderer.share(x)
        return *_rendered(renderer, x, p, audio, needs_seed), audio

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        x, p, ctx.renderer, _ = inputs
        _, finite, seed, kept, ctx.audio = output
        ctx.mark_non_differentiable(finite, seed, kept)
        ctx.save_for_backward(x, p, kept, finite, seed)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        wanted = _wanted(ctx)
        audio, ctx.audio = ctx.audio, None  # a second backward through the same graph is rare, and copies
        found = _Product.apply(*ctx.saved_tensors, cotangent, ctx.renderer, audio, wanted)  # type: ignore[no-untyped-call]
        return *_placed(found, wanted), None, None

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> Any:
        return _refuse_forward_mode()

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor, p: Tensor, renderer: Renderer, _: bool) -> tuple[Any, ...]:
        """One batch of all that is mapped over."""
        (x, p), back = _flattened(info, in_dims[:2], (x, p))
        # a gradient may be asked for outside
        y, finite, seed, kept, audio = Rendered.apply(x, p, renderer, True)  # type: ignore[no-untyped-call]
        return (back(y), back(finite), seed, back(kept), audio), (0, 0, None, 0, None)


class _Estimate(torch.autograd.Function):
    """What cannot be differentiated."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        """Nothing is needed: see `backward`."""

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        return _refuse_second_derivative()

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> Any:
        return _refuse_second_derivative()


class _Product(_Estimate):
    """Estimates of the vector-Jacobian product, for `x` and `p` as `wanted`."""

    @staticmethod
    def forward(
        x: Tensor,
        p: Tensor,
        y: Tensor,
        finite: Tensor,
        seed: Tensor,
        cotangent: Tensor,
        renderer: Renderer,
        audio: Audio | None,
        wanted: Wanted,
    ) -> tuple[Tensor, ...]:
        audio = audio if audio is not None and audio.shape == x.shape else None  # jacrev makes the batch larger
        problem = renderer.cotangent_problem(x, p, y, finite, lambda: cotangent, seeded(seed), audio)
        return tuple(g for g in renderer.gradients(problem, x, p, finite, *wanted) if g is not None)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, ...]:
        """One batch of all that is mapped over, with one seed: items are independent of each other."""
        x, p, y, finite, seed, cotangent, renderer, audio, wanted = inputs
        (x, p, y, finite, cotangent), back = _flattened(info, (*in_dims[:4], in_dims[5]), (x, p, y, finite, cotangent))
        found = _Product.apply(x, p, y, finite, seed, cotangent, renderer, audio, wanted)  # type: ignore[no-untyped-call]
        return tuple(map(back, found)), (0,) * len(found)


def _wanted(ctx: Any) -> Wanted:
    """Whether a gradient is wanted for `x`, and for `p`."""
    to_audio, to_point = ctx.needs_input_grad[:2]
    return to_audio and ctx.renderer.audio_gradient is not None, to_point


def _placed(found: tuple[Tensor, ...], wanted: Wanted) -> tuple[Tensor | None, Tensor | None]:
    """The gradients for `x` and `p`, None where it was not wanted."""
    rest = iter(found)
    to_audio, to_point = (next(rest) if each else None for each in wanted)
    return to_audio, to_point


def _flattened(
    info: Any, in_dims: Sequence[int | None], tensors: Sequence[Tensor]
) -> tuple[list[Tensor], Callable[[Tensor], Tensor]]:
    """For `torch.func.vmap`: `[V, B, …]` as `[V·B, …]`, and the way back. What is not mapped over is repeated."""
    count = info.batch_size
    moved = [t.expand(count, *t.shape) if dim is None else t.movedim(dim, 0) for t, dim in zip(tensors, in_dims, strict=True)]
    batch = moved[0].shape[1]
    return [t.reshape(-1, *t.shape[2:]) for t in moved], lambda t: t.reshape(count, batch, *t.shape[1:])


def _refuse_second_derivative(*_: Any) -> Any:
    raise SecondDerivativeError(
        "the gradient of an effect is an estimate and cannot be differentiated again; leave out create_graph=True, or detach the "
        "gradient before it enters a loss"
    )


def _refuse_forward_mode() -> Any:
    raise EstimatorError(
        "an effect has no forward-mode derivative (torch.func.jvp, jacfwd); use the reverse mode: torch.func.vjp, grad or jacrev"
    )


@torch.library.custom_op("blackbox_grad::render", mutates_args=())
def _render_op(x: Tensor, p: Tensor, handle: int, needs_seed: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`f(x, p)`; which items are finite, `[B]`; the seed with which its gradient will be estimated; `f(x, p)` once more."""
    renderer = _renderers[handle]
    return _rendered(renderer, x, p, renderer.share(x), needs_seed)


@_render_op.register_fake
def _(x: Tensor, p: Tensor, handle: int, needs_seed: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    finite, seed = x.new_empty(x.shape[0], dtype=torch.bool, device="cpu"), x.new_empty(1, dtype=torch.int64, device="cpu")
    return y, finite, seed, torch.empty_like(y) if needs_seed else y.new_empty(0)


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
    _, finite, seed, kept = output
    ctx.save_for_backward(x, p, kept, finite, seed)
    ctx.handle = handle
    ctx.renderer = _renderers.get(handle)  # keeps a module alive that only the graph still needs


def _backward_of_render(ctx: Any, cotangent: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    to_audio, to_point = ctx.needs_input_grad[:2]
    to_x, to_p = torch.ops.blackbox_grad.vjp(*ctx.saved_tensors, cotangent, ctx.handle, to_audio, to_point)
    return (to_x if to_audio else None), (to_p if to_point else None), None, None


torch.library.register_autograd("blackbox_grad::render", _backward_of_render, setup_context=_save_for_render)


torch.library.register_autograd("blackbox_grad::vjp", _refuse_second_derivative)


@dataclass(frozen=True)
class LossMode:
    """What estimates of a loss need beside tensors.

    Attributes:
        renderer: of the effect.
        losses: `(y, *targets) -> [B]`.
        state: restores torch's state of the caller, in which `losses` is to run.
    """

    renderer: Renderer
    losses: LossPerItem
    state: Callable[[], AbstractContextManager[object]]

    def problem(
        self,
        x: Tensor,
        p: Tensor,
        losses: Tensor,
        y: Tensor,
        finite: Tensor,
        seed: Tensor,
        targets: tuple[Tensor, ...],
        audio: Audio | None,
    ) -> Problem:
        """The problem for an estimator of the gradients of `losses: [B]`."""

        def loss_of(sounds: Tensor) -> Tensor:
            with torch.no_grad(), self.state():
                found: Tensor = self.losses(sounds.to(y, copy=True), *targets)  # a loss may work in place
            return found.cpu().double()

        def cotangent() -> Tensor:
            with torch.enable_grad(), self.state():
                output = y.detach().requires_grad_()
                gradient: Tensor = torch.autograd.grad(self.losses(output.clone(), *targets).sum(), output)[0]
            return gradient

        value = losses.detach().cpu().double()
        return self.renderer.loss_problem(x, p, y, finite, value, loss_of, cotangent, seeded(seed), targets, audio)


class EstimatedLoss(torch.autograd.Function):
    """The loss mode: the values of the losses, with estimated gradients for `x` and `p`."""

    @staticmethod
    def forward(x: Tensor, p: Tensor, losses: Tensor, *rest: Any) -> Tensor:
        return losses.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.audio, ctx.mode = inputs
        ctx.renderer = ctx.mode.renderer
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        wanted = _wanted(ctx)
        found = _LossGradient.apply(*ctx.saved_tensors, ctx.audio, ctx.mode, wanted)  # type: ignore[no-untyped-call]
        to_audio, to_point = _placed(found, wanted)
        to_audio = None if to_audio is None else to_audio * upstream[:, None, None].to(to_audio)
        to_point = None if to_point is None else to_point * upstream[:, None].to(to_point)
        return to_audio, to_point, *(None,) * len(ctx.saved_tensors)

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> Any:
        return _refuse_forward_mode()

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, ...]:
        tensors, back = _flattened_loss(info, in_dims, inputs)
        return back(EstimatedLoss.apply(*tensors, *inputs[-2:])), 0  # type: ignore[no-untyped-call]


class _LossGradient(_Estimate):
    """Estimates of the gradients of the losses, for `x` and `p` as `wanted`."""

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        x, p, losses, y, finite, seed, *targets, audio, mode, wanted = inputs
        audio = audio if audio.shape == x.shape else None
        problem = mode.problem(x, p, losses, y, finite, seed, tuple(targets), audio)
        return tuple(g for g in mode.renderer.gradients(problem, x, p, finite, *wanted) if g is not None)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, ...]:
        tensors, back = _flattened_loss(info, in_dims[:-1], inputs[:-1])
        found = _LossGradient.apply(*tensors, *inputs[-3:])  # type: ignore[no-untyped-call]
        return tuple(map(back, found)), (0,) * len(found)


def _flattened_loss(
    info: Any, in_dims: Sequence[int | None], inputs: Sequence[Any]
) -> tuple[list[Tensor], Callable[[Tensor], Tensor]]:
    """`_flattened` for the inputs of `EstimatedLoss`: all tensors but the seed."""
    seed = inputs[_SEED]
    dims, tensors = (list(each[:-2]) for each in (in_dims, inputs))
    del dims[_SEED], tensors[_SEED]
    flat, back = _flattened(info, dims, tensors)
    return [*flat[:_SEED], seed, *flat[_SEED:]], back


#: Position of the seed in the inputs of `EstimatedLoss`.
_SEED = 5
