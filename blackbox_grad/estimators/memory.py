"""How long a change of a setting is heard, measured on an estimator's problem."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from blackbox_grad.estimators.problem import Problem
from blackbox_grad.inspection.memory import FAR, heard_until
from blackbox_grad.parameters.rows import Row

#: Parts of the curve among which the knot is chosen, by the energy of the sound there: not near the end, where nothing can follow.
_BEGINNING = 0.6


def memory_of(problem: Problem, controls: Sequence[Row]) -> float:
    """Seconds after the end of a change for which it is heard: the longest of the moving controls, infinite if to the end.

    One knot of each is moved alone, for the first item: one render each.

    Args:
        problem: with an effect whose sample rate is known.
        controls: those that move.
    """
    effect = problem.effect
    assert effect is not None
    assert effect.sample_rate is not None
    rate, audio = effect.sample_rate, effect.input[:1]
    seconds = torch.tensor(controls[0].seconds, dtype=torch.float64)
    k = _loudest_knot(audio, seconds * rate)
    points = problem.point[:1].repeat(len(controls), 1)
    for point, row in zip(points, controls, strict=True):
        point[row.start + k] += FAR if point[row.start + k] < 0.5 else -FAR
    moved = effect.render(audio.expand(len(controls), -1, -1), points)
    ends = int(heard_until((moved - effect.output[:1]).detach().cpu().double().numpy()).max())
    following = float(seconds[min(k + 1, len(seconds) - 1)])
    return math.inf if ends >= audio.shape[-1] else max(0.0, ends / rate - following)


def _loudest_knot(audio: Tensor, places: Tensor) -> int:
    """Of those in the first part of the audio, the one with the most energy around it; `places: [M]`, samples."""
    if len(places) <= 2:
        return 0
    energy = torch.nn.functional.pad(audio.detach().cpu().double().square().sum(dim=(0, 1)).cumsum(0), (1, 0))
    inside = places.clamp(max=audio.shape[-1]).long()
    around = energy[inside[2:]] - energy[inside[:-2]]
    return 1 + int(around[: max(1, int(_BEGINNING * len(around)))].argmax())
