"""Functions with known gradients, on which estimators are measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Polynomial:
    """`φ(p) = c + g·p + pᵀHp/2`, with different coefficients for each item of the batch.

    Attributes:
        constant: `c: [B]`.
        linear: `g: [B, P]`.
        quadratic: `H: [B, P, P]`, symmetric; zeros make the function affine.
    """

    constant: Tensor
    linear: Tensor
    quadratic: Tensor

    @classmethod
    def draw(cls, degree: int, batch: int, parameters: int, seed: int) -> Polynomial:
        """Normally distributed coefficients."""
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        matrix = normal(batch, parameters, parameters) * (1.0 if degree >= 2 else 0.0)
        return cls(normal(batch), normal(batch, parameters), matrix + matrix.transpose(1, 2))

    def __call__(self, p: Tensor) -> Tensor:
        """`[..., B, P] -> [..., B]`."""
        bent = torch.einsum("...bi,bij,...bj->...b", p, self.quadratic, p) / 2
        return self.constant + (p * self.linear).sum(-1) + bent

    def gradient(self, p: Tensor) -> Tensor:
        """`[B, P] -> [B, P]`."""
        return self.linear + torch.einsum("bij,bj->bi", self.quadratic, p)
