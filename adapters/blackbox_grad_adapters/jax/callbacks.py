"""What JAX calls: renders and gradients of arrays. It uses no JAX, because a callback that does can deadlock."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from blackbox_grad import Renderer
from blackbox_grad.errors import EstimatorError
from blackbox_grad_adapters.jax.primitive import Array
from blackbox_grad_adapters.jax.waiting_estimate import Gradients, WaitingEstimate

#: estimates under way, by number; 0 is none
_under_way: dict[int, WaitingEstimate] = {}

_numbers = itertools.count(1)


class Callbacks:
    """Renders and gradients of arrays.

    Every array may have axes in front of the shape that is named, as many as all others, of size 1 or of one size: `vmap` puts
    them there. All of them are rendered as one batch.
    """

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer

    def render(self, x: Array, p: Array) -> list[Array]:
        """`f(x, p): [B, C, T]`, and which items are finite, `[B]`.

        Args:
            x, p: `[B, C, T]` and `[B, P]`.
        """
        merged = _Merged(x.ndim - 3, x, p)
        audio, point = merged.tensors
        return merged.split(*self.renderer.forward(audio, point))

    def gradients(
        self, wanted: Array, seed: Array, x: Array, p: Array, y: Array, finite: Array, cotangent: Array
    ) -> list[Array]:
        """`ȳᵀ ∂f/∂p: [B, P]`, and `ȳᵀ ∂f/∂x: [B, C, T]` of a renderer with a gradient of the audio.

        Args:
            wanted: `[2] bool`: whether the gradients of `x` and of `p` are; 0 is returned for one that is not.
            seed: `[N]`, of the estimator's randomness; with `N = 0` it comes from `p`.
            x, p, y, finite: `[B, C, T]`, `[B, P]` and what `render` returned.
            cotangent: `ȳ: [B, C, T]`.
        """
        merged = _Merged(x.ndim - 3, x, p, y, finite, cotangent)
        audio, point, output, fine, weight = merged.tensors
        problem = self.renderer.cotangent_problem(audio, point, output, fine, lambda: weight, _generator(seed, point))
        found = self.renderer.gradients(problem, audio, point, fine, *_flags(wanted))
        return merged.split(*self._filled(found, audio, point))

    def loss_turn(
        self,
        number: Array,
        losses: Array,
        wanted: Array,
        seed: Array,
        x: Array,
        p: Array,
        y: Array,
        finite: Array,
        cotangent: Array,
        *targets: Array,
    ) -> list[Array]:
        """One turn of estimating the gradient of a loss: it is told losses, and asks for the next.

        Args:
            number: of the estimate, `[] int32`; 0 to begin one.
            losses: `[B]`, of what the last turn asked about; of `y`, to begin with.
            wanted, seed, x, p, y, finite: as for `gradients`.
            cotangent: `[B, C, T]`, the gradient of the losses at `y`.
            targets: `[B, …]`.

        Returns:
            the number of the estimate, or 0 at its end, `[] int32`; the sounds whose losses are needed, `[B, C, T]`; and what
            `gradients` returns, at the end.
        """
        merged = _Merged(number.ndim, x, p, y, finite, cotangent, losses, *targets)
        audio, point, output, fine, weight, told, *others = merged.tensors
        told = told.double()

        def estimate(loss_of: Callable[[Tensor], Tensor]) -> Gradients:
            def asked(sounds: Tensor) -> Tensor:
                if sounds.shape != audio.shape:
                    raise EstimatorError(
                        f"{self.renderer.estimator!r} asks for the loss of sounds {list(sounds.shape)}; with JAX they must be "
                        f"[B, C, T] = {list(audio.shape)}"
                    )
                return loss_of(sounds)

            problem = self.renderer.loss_problem(
                audio, point, output, fine, told, asked, lambda: weight, _generator(seed, point), tuple(others)
            )
            return self.renderer.gradients(problem, audio, point, fine, *_flags(wanted))

        current = int(number.flat[0]) if number.size else 0
        if current:
            under_way = _under_way.pop(current)
            under_way.tell(told)
        else:
            current, under_way = next(_numbers), WaitingEstimate(estimate)
        asked = under_way.ask()
        if isinstance(asked, Tensor):
            _under_way[current] = under_way
            sounds, gradients = asked, self._filled((None, None), audio, point)
        else:
            current, sounds, gradients = 0, output, self._filled(asked, audio, point)
        return [np.full(number.shape, current, np.int32), *merged.split(sounds, *gradients)]

    def _filled(self, found: Gradients, x: Tensor, p: Tensor) -> list[Tensor]:
        to_audio, to_point = found
        filled = [torch.zeros_like(p) if to_point is None else to_point]
        if self.renderer.audio_gradient is not None:
            filled.append(torch.zeros_like(x) if to_audio is None else to_audio)
        return filled


class _Merged:
    """Arrays whose axes in front of the batch are part of it.

    Args:
        in_front: the number of these axes.
        arrays: `[*L, B, …]`.
    """

    def __init__(self, in_front: int, *arrays: Array) -> None:
        self._front = np.broadcast_shapes(*(a.shape[:in_front] for a in arrays))
        self._batch = arrays[0].shape[in_front]
        self.tensors = tuple(self._merged(a, *a.shape[in_front + 1 :]) for a in arrays)

    def _merged(self, array: Array, *item: int) -> Tensor:
        whole = np.array(np.broadcast_to(array, (*self._front, self._batch, *item)))
        return torch.from_numpy(whole.reshape(math.prod(self._front) * self._batch, *item))

    def split(self, *tensors: Tensor) -> list[Array]:
        """`[*L, B, …]`."""
        return [t.numpy().reshape(*self._front, self._batch, *t.shape[1:]) for t in tensors]


def _flags(wanted: Array) -> tuple[bool, bool]:
    to_audio, to_point = wanted.reshape(-1, 2)[0]
    return bool(to_audio), bool(to_point)


def _generator(seed: Array, p: Tensor) -> torch.Generator:
    """The same randomness for the same numbers."""
    numbers = seed if seed.size else p.numpy()
    digest = hashlib.blake2b(np.ascontiguousarray(numbers).tobytes(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
