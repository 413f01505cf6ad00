"""An effect as a differentiable torch module."""

from __future__ import annotations

from blackbox_grad.layer.loss_function import LossFunction
from blackbox_grad.layer.module import DEFAULT_ESTIMATOR, DifferentiableEffect, OnNonfinite

__all__ = ["DEFAULT_ESTIMATOR", "DifferentiableEffect", "LossFunction", "OnNonfinite"]
