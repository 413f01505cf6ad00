"""The interface of estimators, their result, and their promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from blackbox_grad.estimators.problem import Problem


@dataclass(frozen=True)
class Estimate:
    """An estimator's result.

    Attributes:
        gradient: `[B, P]`: the estimate of `∂φ/∂p`.
        audio: `[B, C, T]`: an estimate of `∂φ/∂x`, if the estimator makes one.
    """

    gradient: Tensor
    audio: Tensor | None = None


@dataclass(frozen=True)
class Promises:
    """What an estimator declares; `blackbox_grad.testing.check_estimator` measures it. The defaults promise nothing.

    Attributes:
        exact_degree: the estimate is exact on polynomials up to this total degree, everywhere in the box.
        unbiased_degree: its expectation is exact on them, at points further than a step from the faces of the box; on affine
            functions everywhere.
        order: the error on smooth functions, or that of its expectation, falls as `step ** order`.
        probes: probes of each item.
        exact_audio: `Estimate.audio` is exact for effects that are linear and time-invariant, and `EstimatorError` is raised for
            others.
        segments: for curves, it is exact on effects that are affine in their settings and forget within `memory` seconds, an
            attribute of the estimator; probes are then as many as there are groups of knots, at most `samples`.
    """

    exact_degree: int = 0
    unbiased_degree: int = 0
    order: int | None = None
    probes: int | None = None
    exact_audio: bool = False
    segments: bool = False


class Estimator(Protocol):
    """Anything with `estimate`.

    It may also have these methods, and it is always safe to have none of them:

    - `promises(parameters: int) -> Promises`: what it declares;
    - `for_effect(spec: EffectSpec) -> Estimator`: the one to use for an effect, asked for when a layer is made;
    - `informed(steps, influence) -> Estimator`: the same with a step for each parameter, and with how much each matters, both by
      name: asked for by `Inspected`.
    """

    def estimate(self, problem: Problem) -> Estimate:
        """The gradient of `problem`'s function at `problem.point`."""
        ...


def promises_of(estimator: Estimator, parameters: int) -> Promises:
    """What an estimator declares; nothing, if it has no method `promises`."""
    declare = getattr(estimator, "promises", None)
    declared: Promises = Promises() if declare is None else declare(parameters)
    return declared
