"""A straight line through some settings: from neutral ones to these, and past them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.errors import ParameterError
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: The most that may be asked for.
MOST = 1.5

#: The place from which on switches and choices have the settings' level.
SWITCHED = 0.5


def blend(space: ParameterSpace, neutral: ArrayLike, point: ArrayLike, amount: float) -> FloatArray:
    """`[P]`: `neutral` at amount 0, `point` at 1 (to the bit), and beyond it up to 1.5, clipped to the box.

    Continuous parameters move in a straight line, and those with steps to the nearest. Switches, and parameters whose levels have
    names, have no way between: they change at an amount of 0.5. The sound does not move evenly along this line;
    `blackbox_grad.inspection.SoundPath` measures it.

    Args:
        space: of the settings.
        neutral, point: `[P]`, normalised.
        amount: 0 to 1.5.

    Raises:
        ParameterError: the amount is not in this range.
    """
    check_amount(amount)
    return straight(space, neutral, point, amount)


def check_amount(amount: float) -> None:
    """Raise `ParameterError` if it is not from 0 to 1.5."""
    if not 0.0 <= amount <= MOST:
        raise ParameterError(f"amount={amount:g} must be from 0 (neutral) over 1 (the settings) to {MOST:g} (past them)")


def straight(space: ParameterSpace, neutral: ArrayLike, point: ArrayLike, place: float) -> FloatArray:
    """As `blend`, at any `place` from 0."""
    start, end = space.snap(space.check(neutral)), space.snap(space.check(point))
    moved = space.snap(np.clip(start + place * (end - start), 0.0, 1.0)) if place != 1.0 else end
    switched = np.array([parameter.kind == "toggle" or bool(parameter.choices) for parameter in space], dtype=bool)
    return np.where(switched, end if place >= SWITCHED else start, moved)
