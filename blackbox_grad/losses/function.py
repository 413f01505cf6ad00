"""A caller's torch loss function."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from blackbox_grad.errors import AudioError
from blackbox_grad.losses.base import FeatureLoss

#: A loss up to this is 0: rounding leaves as much for equal recordings.
_ROUNDING = 1e-4


class FunctionLoss(FeatureLoss):
    """Any `function(y, target)`, such as `torch.nn.L1Loss()` or a loss of auraloss. Its value is the one residual of an item.

    It must be 0 for equal recordings, and positive otherwise. A search that works with residuals finds less with it than with a
    `FeatureLoss`, because one number says less than many.

    Args:
        function: of two tensors `[B, C, T]`; returns one number, or `[B]`. It receives one item at a time.
        name: of the function, for errors.
        target: `[C, T]`.
        sample_rate: Hz.

    Raises:
        AudioError: the function does not return one number per item, or returns a negative one, or is not 0 at the target.
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str, target: Tensor, sample_rate: float) -> None:
        self._function, self._name = function, name
        super().__init__(target, sample_rate)
        here = float(self.target)
        if not abs(here) <= _ROUNDING:  # NaN too
            raise AudioError(f"the loss {name!r} is {here:g} for equal recordings; it must be 0")
        self.target = torch.zeros_like(self.target)

    def prepare(self, target: Tensor) -> None:
        self._recording = target[None].clone()

    def features(self, audio: Tensor) -> Tensor:
        """`[B, C, T]` -> `[B, 1]`: the loss of each item."""
        losses = [self._of(item[None]) for item in audio]
        return torch.stack(losses)[:, None] if losses else audio.new_zeros((0, 1))

    def _of(self, audio: Tensor) -> Tensor:
        """`[1, C, T]` -> `[]`."""
        found = self._function(audio, self._recording)
        if not (isinstance(found, Tensor) and found.is_floating_point() and found.shape in ((), (1,))):
            what = f"{list(found.shape)} {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
            raise AudioError(
                f"the loss {self._name!r} returned {what} for one item; it must return a number or [B], in floating point"
            )
        if float(found.detach()) < -_ROUNDING:
            raise AudioError(f"the loss {self._name!r} is negative, {float(found.detach()):g}; it must be 0 or more")
        return found.reshape(())
