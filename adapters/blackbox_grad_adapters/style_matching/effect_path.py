"""`EffectPath`: the path of audio through an effect, both for making pairs and for training on them.

Both use the same function, so at the true settings of a pair the loss is exactly 0.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from blackbox_grad import DifferentiableEffect, EffectSpec
from blackbox_grad.errors import EffectLoadError
from blackbox_grad.layer import LossFunction

#: Default sample rate, Hz.
SAMPLE_RATE = 24_000.0

#: Peak of the input of an effect, and of the output of the path: -12 dBFS.
PEAK = 10.0 ** (-12.0 / 20.0)

#: Length of the linear fades at both ends of the output, in seconds.
FADE = 0.05

#: A peak below this (-120 dBFS) is silence, which the path does not amplify.
_SILENCE = 1e-6


class EffectPath(nn.Module):
    """`y = path(x, p)`: normalise to a peak of -12 dBFS, apply the effect, fade in and out, normalise again.

    Args:
        effect: an address, an `EffectSpec`, or a `DifferentiableEffect`, which already has all options.
        sample_rate: Hz; 24 kHz by default.
        options: for `DifferentiableEffect`: `parameters` (by default the continuous ones; the others stay at their defaults),
            `fixed`, `estimator`, `host`, … Renders with NaN or infinity become silence unless `on_nonfinite="raise"`.

    Attributes:
        effect: the `DifferentiableEffect`.
    """

    def __init__(
        self,
        effect: str | os.PathLike[str] | EffectSpec | DifferentiableEffect,
        sample_rate: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if isinstance(effect, DifferentiableEffect):
            beside = sorted(options) + ["sample_rate"] * (sample_rate is not None)
            if beside:
                raise EffectLoadError(
                    f"{effect.spec.address}: an opened effect already has {', '.join(beside)}; leave the argument out"
                )
            self.effect = effect
        else:
            own = effect.sample_rate if isinstance(effect, EffectSpec) else SAMPLE_RATE
            rate = own if sample_rate is None else sample_rate
            self.effect = DifferentiableEffect(effect, rate, **{"on_nonfinite": "silence", **options})

    @property
    def spec(self) -> EffectSpec:
        """The recipe of the effect, with what its backend learnt."""
        return self.effect.info.spec

    @property
    def names(self) -> tuple[str, ...]:
        """The free parameters, in the order of `p`."""
        return tuple(parameter.name for parameter in self.effect.parameter_space)

    @property
    def size(self) -> int:
        """Number `P` of free parameters."""
        return len(self.effect.parameter_space)

    @property
    def sample_rate(self) -> float:
        """Hz."""
        return self.effect.spec.sample_rate

    if TYPE_CHECKING:

        def __call__(self, x: Tensor, p: Tensor) -> Tensor: ...

    def forward(self, x: Tensor, p: Tensor) -> Tensor:
        """`x: [B, C, T]`, `p: [B, P] in [0, 1]` -> `[B, C, T]`."""
        return self.finish(self.render(x, p))

    def dry(self, x: Tensor) -> Tensor:
        """The path without its effect: `[B, C, T]` -> `[B, C, T]`."""
        return self.finish(normalise(x))

    def loss(self, x: Tensor, p: Tensor, loss_fn: LossFunction, *targets: Tensor) -> Tensor:
        """The mean of `loss_fn(path(x, p), *targets)`, its gradient estimated from differences of the loss itself.

        See `DifferentiableEffect.loss`.
        """
        return self.effect.loss(normalise(x), p, lambda y, *t: loss_fn(self.finish(y), *t), *targets)

    def render(self, x: Tensor, p: Tensor) -> Tensor:
        """The first half of the path: normalise and apply the effect. Silence is still recognisable here."""
        return self.effect(normalise(x), p)

    def finish(self, y: Tensor) -> Tensor:
        """The second half of the path: fade and normalise the effect's output, `[B, C, T]`."""
        return normalise(y * fades(y.shape[-1], self.sample_rate).to(y))


def normalise(x: Tensor) -> Tensor:
    """`[B, C, T]` with every item's peak at -12 dBFS. Silence stays silence."""
    peak = x.abs().amax(dim=(1, 2), keepdim=True)
    return x * (PEAK / peak.clamp_min(_SILENCE))


def fades(length: int, sample_rate: float) -> Tensor:
    """The gain `[T]` that fades linearly in and out. Audio shorter than two fades gets shorter fades."""
    count = min(round(FADE * sample_rate), length // 2)
    gain = torch.ones(length)
    gain[:count] = torch.arange(count) / max(count, 1)
    gain[length - count :] = gain[:count].flip(0)
    return gain
