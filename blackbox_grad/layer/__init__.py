"""An effect as a differentiable torch module, and the renderer that it is made of."""

from __future__ import annotations

from blackbox_grad.layer.loss_function import LossFunction
from blackbox_grad.layer.module import DifferentiableEffect
from blackbox_grad.layer.renderer import DEFAULT_ESTIMATOR, OnNonfinite, Renderer

__all__ = ["DEFAULT_ESTIMATOR", "DifferentiableEffect", "LossFunction", "OnNonfinite", "Renderer"]
