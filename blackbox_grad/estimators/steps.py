"""Steps of parameters: how far each can move, and which steps are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TypeAlias

import torch
from torch import Tensor

from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.problem import Problem

#: A step for each parameter: one for all, or some by name.
Step: TypeAlias = float | Mapping[str, float]

#: The step of parameters that a mapping of steps does not name.
USUAL_STEP = 0.01

#: From the middle of the box, a longer step leaves it on both sides.
LARGEST_STEP = 0.5


def reach(problem: Problem, step: Step) -> tuple[Tensor, Tensor]:
    """How far each parameter can be moved down and up: `(down, up)`, both `[B, P]`, `down <= 0 <= up`.

    A continuous parameter moves by its `step`, a stepped one by the whole levels nearest to it and at least by one; both only as
    far as the box allows. At least one of the two is not zero.
    """
    wanted = torch.full((problem.count,), USUAL_STEP if isinstance(step, Mapping) else step, dtype=torch.float64)
    for name, distance in step.items() if isinstance(step, Mapping) else ():
        wanted[problem.space.index(name)] = distance
    levels = torch.tensor(problem.space.steps, dtype=torch.float64)
    whole = torch.where(levels > 0, levels * torch.clamp(torch.round(wanted / levels.clamp(min=1e-9)), min=1.0), wanted)
    up = torch.minimum(whole, 1.0 - problem.point)
    down = -torch.minimum(whole, problem.point)
    return down, up


def check_steps(name: str, step: Step) -> Step:
    """One valid step, or one for each parameter."""
    if isinstance(step, Mapping):
        return {parameter: check_step(name, own, parameter) for parameter, own in step.items()}
    return check_step(name, step)


def check_step(name: str, step: float, parameter: str = "") -> float:
    """A valid step size: in (0, 0.5]."""
    if not (isinstance(step, Real) and 0.0 < step <= LARGEST_STEP):
        where = f" of {parameter!r}" if parameter else ""
        raise EstimatorError(f"{name}: step={step!r}{where} must lie in (0, 0.5]; parameters run from 0 to 1")
    return float(step)
