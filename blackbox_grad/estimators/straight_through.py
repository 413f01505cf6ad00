"""Straight-through: the forward is the plug-in, the backward is a stand-in's.

Y. Bengio, N. Léonard, A. Courville, "Estimating or propagating gradients through stochastic neurons for conditional
computation", 2013, arXiv:1308.3432. With a neural proxy as stand-in: C. J. Steinmetz, N. J. Bryan, J. D. Reiss, "Style transfer of
audio effects with differentiable signal processing", J. Audio Eng. Soc. 70(9), 2022, arXiv:2207.08759.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimate, Promises
from blackbox_grad.estimators.problem import Problem


class StraightThrough:
    """No renders at all in the backward pass.

    Args:
        surrogate: a differentiable `f(x: [B, C, T], p: [B, P]) -> [B, C, T]` (a trained proxy, a re-implementation): its
            vector-Jacobian product is the estimate, for parameters and audio. Without one the effect counts as the identity
            on the audio, and the gradient of the parameters is 0.
    """

    def __init__(self, surrogate: Callable[[Tensor, Tensor], Tensor] | None = None) -> None:
        if surrogate is not None and not callable(surrogate):
            raise EstimatorError(f"StraightThrough: surrogate must be a function f(x, p), got {surrogate!r}")
        self.surrogate = surrogate

    def __repr__(self) -> str:
        return f"StraightThrough(surrogate={self.surrogate!r})"

    def promises(self, parameters: int) -> Promises:
        return Promises(probes=0)

    def estimate(self, problem: Problem) -> Estimate:
        effect = problem.effect
        if self.surrogate is None:
            return Estimate(torch.zeros_like(problem.point), None if effect is None else effect.cotangent)
        if effect is None:
            raise EstimatorError("StraightThrough with a surrogate needs a problem with an effect")
        with torch.enable_grad():
            x = effect.input.detach().requires_grad_()
            p = problem.point.to(x.device, x.dtype).requires_grad_()
            y = self.surrogate(x, p)
            if y.shape != x.shape:
                raise EstimatorError(f"StraightThrough: the surrogate returned {list(y.shape)} for audio {list(x.shape)}")
            if not y.requires_grad:
                raise EstimatorError(
                    "StraightThrough: the surrogate's result has no gradient. It must be differentiable torch code; inside "
                    "torch.compile only the backend 'eager' can run it"
                )
            to_audio, to_point = torch.autograd.grad(y, (x, p), effect.cotangent.to(y.dtype), allow_unused=True)
        if to_point is None:
            to_point = torch.zeros_like(p)
        return Estimate(to_point.to(problem.point), to_audio)
