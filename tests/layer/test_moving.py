"""A layer whose settings move: gradients of knots, and curves in the shape of curves."""

from __future__ import annotations

import pytest
import torch

from blackbox_grad import Automated, DifferentiableEffect, FiniteDifference, InProcessHost
from blackbox_grad.errors import ParameterError


def layer() -> DifferentiableEffect:
    effect = Automated("reference:soft-clip", 3, ["Drive"], seconds=0.25)
    return DifferentiableEffect(effect, host=InProcessHost(), estimator=FiniteDifference())


def test_curves_are_taken_as_they_are_drawn() -> None:
    module, x = layer(), 0.3 * torch.randn(2, 1, 11025, generator=torch.Generator().manual_seed(0))
    curves = torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(1))  # drive and level, 3 knots
    flat = torch.cat([curves[:, 0], curves[:, 1].mean(1, keepdim=True)], dim=1)
    assert torch.equal(module(x, curves), module(x, flat))
    curves.requires_grad_()
    module(x, curves).square().sum().backward()
    flat.requires_grad_()
    module(x, flat).square().sum().backward()
    assert curves.grad is not None
    assert flat.grad is not None
    assert torch.allclose(curves.grad[:, 0], flat.grad[:, :3])
    assert torch.allclose(curves.grad[:, 1].sum(1), flat.grad[:, 3])
    assert flat.grad.abs().min() > 0.0


def test_curves_of_another_shape_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"curves p must have the shape \[B, 2, 3\] \(Drive, Level\), got \[1, 2, 4\]"):
        layer()(torch.zeros(1, 1, 100), torch.zeros(1, 2, 4))
