"""A loss for each item, from a caller's loss function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from blackbox_grad.errors import AudioError, EstimatorError

#: `loss_fn(y, *targets) -> [B]`, one loss an item, or a single number
LossFunction: TypeAlias = Callable[..., Tensor]


class LossPerItem:
    """A loss function as one that returns a loss for each item."""

    def __init__(self, loss_fn: LossFunction) -> None:
        if not callable(loss_fn):
            raise EstimatorError(f"loss_fn={loss_fn!r} must be a function of y and the targets")
        self._loss_fn = loss_fn
        self._reduces: bool | None = None

    def __call__(self, y: Tensor, *targets: Tensor) -> Tensor:
        batch = y.shape[0]
        if self._reduces is None or not self._reduces:
            losses = self._loss_fn(y, *targets)
            if not (isinstance(losses, Tensor) and losses.is_floating_point()):
                what = losses.dtype if isinstance(losses, Tensor) else type(losses).__name__
                raise EstimatorError(f"loss_fn returned {what}; it must return a floating-point tensor")
            if losses.ndim > 1 or (losses.ndim == 1 and losses.shape[0] != batch):
                raise EstimatorError(
                    f"loss_fn returned the shape {list(losses.shape)} for a batch of {batch}; it must return [B], one loss an "
                    "item, or a single number"
                )
            self._reduces = losses.ndim == 0
            if not self._reduces:
                return losses
            if batch <= 1:
                return losses.expand(batch)
        parts = [self._loss_fn(y[i : i + 1], *(t[i : i + 1] for t in targets)) for i in range(batch)]
        return torch.stack([part.reshape(()) for part in parts])


def expanded(target: Tensor, batch: int) -> Tensor:
    if not isinstance(target, Tensor):
        raise AudioError(f"a target of the loss must be a torch.Tensor, got {type(target).__name__}")
    if target.shape[:1] == (batch,):
        return target
    if target.ndim and target.shape[0] == 1:
        return target.expand(batch, *target.shape[1:])
    raise AudioError(f"a target of the loss must have the batch size {batch} first, got {list(target.shape)}")
