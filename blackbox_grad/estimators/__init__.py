"""Estimators: gradients of a batch of scalar functions on the unit box, from few evaluations. One file each.

An estimator of one's own is one class with one method:

    class Mine:
        def estimate(self, problem: Problem) -> Estimate: ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from blackbox_grad.errors import EstimatorError
from blackbox_grad.problem import Problem


@dataclass(frozen=True)
class Estimate:
    """What an estimator found.

    Attributes:
        gradient: `[B, P]`: the estimate of `∂φ/∂p`.
        audio: `[B, C, T]`: an estimate of `∂φ/∂x`, where the estimator makes one.
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
    """

    exact_degree: int = 0
    unbiased_degree: int = 0
    order: int | None = None
    probes: int | None = None
    exact_audio: bool = False


class Estimator(Protocol):
    """Anything with `estimate`.

    It may also declare `promises(parameters: int) -> Promises`, and `for_effect(spec: EffectSpec) -> Estimator`: the one to use for
    an effect, asked for when a layer is made.
    """

    def estimate(self, problem: Problem) -> Estimate:
        """The gradient of `problem`'s function at `problem.point`."""
        ...


#: A step for each parameter: one for all, or some by name.
Step: TypeAlias = float | Mapping[str, float]

#: The step of parameters that a mapping of steps does not name.
USUAL_STEP = 0.01


def reach(problem: Problem, step: Step) -> tuple[Tensor, Tensor]:
    """How far each parameter can be moved down and up: `(down, up)`, both `[B, P]`, `down <= 0 <= up`.

    A continuous parameter moves by its `step`, a stepped one by the whole levels nearest to it and at least by one; both only as
    far as the box allows. At least one of the two is not zero.
    """
    wanted = torch.full((problem.parameters,), USUAL_STEP if isinstance(step, Mapping) else step, dtype=torch.float64)
    for name, distance in step.items() if isinstance(step, Mapping) else ():
        wanted[problem.space.index(name)] = distance
    levels = torch.tensor(problem.space.steps, dtype=torch.float64)
    whole = torch.where(levels > 0, levels * torch.clamp(torch.round(wanted / levels.clamp(min=1e-9)), min=1.0), wanted)
    up = torch.minimum(whole, 1.0 - problem.point)
    down = -torch.minimum(whole, problem.point)
    return down, up


def check_steps(name: str, step: Step) -> Step:
    """One step that makes sense, or one for each parameter."""
    if isinstance(step, Mapping):
        return {parameter: check_step(name, own, parameter) for parameter, own in step.items()}
    return check_step(name, step)


def check_step(name: str, step: float, parameter: str = "") -> float:
    """A step size that makes sense: in (0, 0.5]."""
    if not (isinstance(step, Real) and 0.0 < step <= 0.5):
        where = f" of {parameter!r}" if parameter else ""
        raise EstimatorError(f"{name}: step={step!r}{where} must lie in (0, 0.5]; parameters run from 0 to 1")
    return float(step)
