"""What an estimator is given: a scalar function of the parameters for each item of a batch, to be evaluated at chosen points."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from blackbox_grad.errors import EstimatorError
from blackbox_grad.parameters import Parameter, ParameterSpace

#: `[K, B, P] -> [K, B]`
Probe = Callable[[Tensor], Tensor]


@dataclass
class Problem:
    """Find the gradient of `φ` at `point`, for each item of the batch.

    `φ` is either the *cotangent probe* `φ(p) = ⟨ȳ, f(x, p)⟩`, whose gradient is the vector-Jacobian product, or the *loss probe*
    `φ(p) = L(f(x, p))`. An estimator need not know which.

    Attributes:
        point: `[B, P] float64` in [0, 1], stepped parameters at a level.
        space: names, kinds and steps of the `P` parameters.
        generator: the only source of randomness; seeded, so an estimate is repeatable.
        kind: which of the two `φ` is.
        audio: `[B, C, T]`, where there is audio.
        evaluate, find_value, find_cotangent: what `probe`, `value` and `cotangent` call.
        probes: counts the probes of each item made so far.
    """

    point: Tensor
    space: ParameterSpace
    generator: torch.Generator
    evaluate: Probe = field(repr=False)
    find_value: Callable[[], Tensor] = field(repr=False)
    kind: Literal["cotangent", "loss"] = "cotangent"
    audio: Tensor | None = None
    find_cotangent: Callable[[], Tensor] | None = field(default=None, repr=False)
    probes: int = 0

    @functools.cached_property
    def value(self) -> Tensor:
        """`[B] float64`: `φ(point)`, known from the forward render, so it costs no render."""
        return self.find_value()

    @functools.cached_property
    def cotangent(self) -> Tensor | None:
        """`ȳ: [B, C, T]`; in loss mode the gradient of the loss at the forward render. None without audio."""
        return None if self.find_cotangent is None else self.find_cotangent()

    @property
    def batch(self) -> int:
        """`B`."""
        return self.point.shape[0]

    @property
    def parameters(self) -> int:
        """`P`."""
        return self.point.shape[1]

    def probe(self, points: Tensor) -> Tensor:
        """`φ` at `points: [K, B, P] in [0, 1]` -> `[K, B] float64`; NaN where the effect gave NaN or infinity.

        Each of the `K·B` values is one render. A NaN is to be left out of the estimate.
        """
        points = points.detach().to("cpu", torch.float64)
        if points.ndim != 3 or points.shape[1:] != self.point.shape:
            raise EstimatorError(
                f"probe points must have the shape [K, {self.batch}, {self.parameters}], got {list(points.shape)}"
            )
        outside = ~((points >= 0.0) & (points <= 1.0))
        if outside.any():
            k, b, i = (int(v) for v in outside.nonzero()[0])
            raise EstimatorError(
                f"probe {k} of item {b} has {self.space[i].name!r} = {float(points[k, b, i]):g}, outside [0, 1]; "
                "blackbox_grad.estimators.reach() gives steps that stay inside"
            )
        if points.shape[0] == 0:
            return points.new_zeros(0, self.batch)
        self.probes += points.shape[0]
        return self.evaluate(points)

    @classmethod
    def of_function(
        cls,
        function: Callable[[Tensor], Tensor],
        point: Tensor,
        space: ParameterSpace | None = None,
        seed: int = 0,
    ) -> Problem:
        """A problem without an effect, to try an estimator on.

        Args:
            function: `[..., B, P] -> [..., B]`, such as a polynomial.
            point: `[B, P]` in [0, 1].
            space: kinds of the parameters; all continuous by default.
            seed: of the generator.

        >>> problem = Problem.of_function(lambda p: (p**2).sum(-1), torch.tensor([[0.25, 0.5]]))
        >>> problem.probe(torch.tensor([[[0.5, 0.5]]]))
        tensor([[0.5000]], dtype=torch.float64)
        """
        point = point.to(torch.float64)
        space = space or ParameterSpace([Parameter(f"p{i}") for i in range(point.shape[1])])
        point = torch.from_numpy(space.snap(space.check(point.numpy())))
        generator = torch.Generator().manual_seed(seed)

        def evaluate(points: Tensor) -> Tensor:
            return function(points).detach()

        return cls(point, space, generator, evaluate, lambda: evaluate(point[None])[0])
