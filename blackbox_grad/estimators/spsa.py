"""Simultaneous perturbation: all parameters move at once, so a gradient costs a few renders for any number of parameters.

J. C. Spall, "Multivariate stochastic approximation using a simultaneous perturbation gradient approximation",
IEEE Trans. Automatic Control 37(3), 1992, doi:10.1109/9.119632.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimate, Promises
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.estimators.steps import USUAL_STEP, Step, check_steps, reach
from blackbox_grad.torch_state import in_own_work


class SPSA:
    """Differences along random directions of signs.

    Args:
        samples: directions of each item, `K`.
        sides: 2: a pair of renders per direction, on both sides of the point (2·K probes). 1: one render per direction,
            compared with the forward render, which exists already (K probes).
        directions: "rademacher": independent signs. "orthogonal": rows of a randomised Hadamard matrix, which share no
            information; with K >= P they determine the gradient of an affine function exactly.
        step: in (0, 0.5], of the normalised range; or one for each parameter, by name, and 0.01 for those that are not named. A
            stepped parameter moves by whole levels.

    Every item of a batch has its own directions. Near a face of the box a parameter moves only as far as the box allows, and the
    divisor is the distance really travelled. The estimate leaves out directions with a probe that is not finite.
    """

    def __init__(
        self,
        samples: int = 1,
        sides: Literal[1, 2] = 2,
        directions: Literal["rademacher", "orthogonal"] = "rademacher",
        step: Step = USUAL_STEP,
    ) -> None:
        if not (isinstance(samples, int) and samples >= 1):
            raise EstimatorError(f"SPSA: samples={samples!r} must be a whole number, 1 or more")
        if sides not in (1, 2):
            raise EstimatorError(f"SPSA: sides={sides!r} must be 1 (reuse the forward render) or 2 (pairs)")
        if directions not in ("rademacher", "orthogonal"):
            raise EstimatorError(f"SPSA: directions={directions!r} is unknown; allowed are 'rademacher' and 'orthogonal'")
        self.samples = samples
        self.sides = sides
        self.directions = directions
        self.step = check_steps("SPSA", step)

    def __repr__(self) -> str:
        return f"SPSA(samples={self.samples}, sides={self.sides}, directions={self.directions!r}, step={self.step})"

    def promises(self, parameters: int) -> Promises:
        exact = self.directions == "orthogonal" and self.samples >= parameters
        return Promises(
            exact_degree=1 if exact else 0,
            unbiased_degree=2,
            order=2,
            probes=self.samples * self.sides,
        )

    def informed(self, steps: Mapping[str, float], influence: Mapping[str, float]) -> SPSA:
        """The same with a step for each parameter."""
        return SPSA(self.samples, self.sides, self.directions, steps)

    def estimate(self, problem: Problem) -> Estimate:
        down, up = reach(problem, self.step)
        signs = self._signs(problem, down, up)  # [K, B, P]
        point, ahead = problem.point, torch.where(signs > 0, up, down)
        if self.sides == 2:
            behind = torch.where(signs > 0, down, up)
            values = problem.probe(torch.cat([point + ahead, point + behind]).clamp(0.0, 1.0))
            difference = values[: self.samples] - values[self.samples :]
            travelled = ahead - behind
        else:
            difference = problem.probe((point + ahead).clamp(0.0, 1.0)) - problem.value
            travelled = ahead
        # half the range of a direction's travel: `travelled` is its sign times this, plus, near a face and with one side, an
        # offset that does not depend on the sign and so averages out
        length = (up - down) * (self.sides / 2)
        valid = torch.isfinite(difference)
        difference = torch.where(valid, difference, 0.0)
        count = valid.sum(dim=0)[:, None]
        gradient = (difference[..., None] * signs).sum(dim=0) / (count.clamp(min=1) * length)
        if self.directions == "orthogonal" and self.samples >= problem.count:
            complete = count[:, 0] >= problem.count
            if complete.any():
                kept = valid.T[complete, :, None]
                system = (travelled.transpose(0, 1)[complete] / length[complete, None]) * kept
                solution = torch.linalg.pinv(system) @ difference.T[complete, :, None]
                gradient[complete] = solution[..., 0] / length[complete]
        return Estimate(gradient)

    def _signs(self, problem: Problem, down: Tensor, up: Tensor) -> Tensor:
        """`[K, B, P]` of ±1, independent from item to item."""
        shape, generator = (problem.batch, problem.count), problem.generator
        if self.directions == "rademacher":
            return _random_signs((self.samples, *shape), generator)
        count = problem.count
        hadamard, balanced = _hadamard(count), _hadamard(count + 1)
        if self.samples >= len(balanced):
            hadamard = balanced
        size, rows = len(hadamard), []
        for start in range(0, self.samples, size):
            flips = _random_signs(shape, generator)
            length = min(size, self.samples - start)
            chosen = torch.arange(length).expand(problem.batch, -1)
            if self.samples >= len(balanced):
                # Without its first column, of ones, the whole matrix has as many of each sign in every column: offsets and the
                # curvature along each parameter cancel. With one parameter it is a pair, on both sides.
                columns = 1 + _random_order(problem.batch, size - 1, generator)[:, :count]
            elif self.samples >= count:
                # The first P rows and columns have full rank (all leading minors of a Sylvester matrix are nonzero). At a face
                # and with one side, `travelled / length` is this block plus an offset r >= 0 in the inward direction; with the
                # signs inward too, its determinant is that of the block times 1 + r_0, so it keeps full rank.
                columns = _random_order(problem.batch, count, generator)
                flips = torch.where(up > -down, 1.0, torch.where(up < -down, -1.0, flips))
            else:
                columns = _random_order(problem.batch, size, generator)[:, :count]
                chosen = _random_order(problem.batch, size, generator)[:, :length]
            picked = hadamard[chosen[:, :, None], columns[:, None, :]]  # [B, length, P]
            rows.append((picked * flips[:, None, :]).transpose(0, 1))
        return torch.cat(rows)


def _random_signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=generator).double() * 2 - 1


def _random_order(batch: int, size: int, generator: torch.Generator) -> Tensor:
    return torch.rand(batch, size, generator=generator, dtype=torch.float32).argsort(dim=1)


@lru_cache(maxsize=32)
@in_own_work
def _hadamard(least: int) -> Tensor:
    """Sylvester's Hadamard matrix of the smallest size that is a power of two and at least `least`."""
    matrix = torch.ones(1, 1, dtype=torch.float64)
    while len(matrix) < least:
        matrix = torch.cat([torch.cat([matrix, matrix], dim=1), torch.cat([matrix, -matrix], dim=1)])
    return matrix
