"""TorchOpt's zero-order gradients as an estimator, to compare with.

J. Ren et al., "TorchOpt: an efficient library for differentiable optimization", JMLR 24(367), 2023, arXiv:2211.06934.

Used as it is, version 0.7.3. Its properties:

- The function must return one number, so a batch is estimated item by item.
- Nothing holds the probes in the box. Here they are clipped to it, and the estimate, which divides by the intended distance, is
  too small near a face.
- "forward" multiplies by the step where it should divide, so its length is wrong by the step squared (Adam does not mind), and
  from the second sample on compares with the previous difference instead of the value at the point: more than one sample is worse.
- "antithetic" also evaluates the function at the point, and does not use it. This is not counted: the forward render gives it.
- The directions are normal: a step of `sigma` moves every parameter by about as much, but sometimes by three times as much.
"""

from __future__ import annotations

from typing import Literal

import torch
from torchopt.diff import zero_order

from blackbox_grad.estimators import Estimate, Problem


class TorchOpt:
    """`torchopt.diff.zero_order` with normal directions.

    Args:
        method: "forward" (one probe a sample) or "antithetic" (two).
        samples: directions.
        sigma: standard deviation of a probe's distance.
    """

    def __init__(self, method: Literal["forward", "antithetic"] = "antithetic", samples: int = 1, sigma: float = 0.01) -> None:
        self.method, self.samples, self.sigma = method, samples, sigma

    def estimate(self, problem: Problem) -> Estimate:
        rows = [self._item(problem, item) for item in range(problem.batch)]
        return Estimate(torch.stack(rows))

    def _item(self, problem: Problem, item: int) -> torch.Tensor:
        def directions(shape: torch.Size) -> torch.Tensor:
            return torch.randn(shape, generator=problem.generator, dtype=torch.float64)

        def function(point: torch.Tensor) -> torch.Tensor:
            if torch.equal(point, problem.point[item]):
                return problem.value[item]
            points = problem.point.clone()
            points[item] = point.clamp(0.0, 1.0)
            return torch.nan_to_num(problem.probe(points[None])[0, item])

        estimated = zero_order.zero_order(directions, self.method, num_samples=self.samples, sigma=self.sigma)(function)
        with torch.enable_grad():
            point = problem.point[item].clone().requires_grad_()
            (gradient,) = torch.autograd.grad(estimated(point), point)
        return gradient
