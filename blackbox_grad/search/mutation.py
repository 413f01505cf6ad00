"""Mutations of the best settings, longer after a success and shorter after a failure: the (1+1) evolution strategy.

H.-P. Schwefel, "Numerical optimization of computer models", Wiley 1981. It needs no model of the effect, so it also works where a
model does not help.
"""

from __future__ import annotations

import numpy as np

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: Length of the first mutation, and its bounds.
_FIRST, _SHORTEST, _LONGEST = 0.2, 0.003, 0.4

#: The length is multiplied by these after a success and after a failure.
_SUCCESS, _FAILURE = 1.6, 0.88

#: Each parameter moves with this probability, or with 1/P if that is more. At least one moves.
_MOVING = 0.35


class Mutation:
    """Mutated settings, and the length of the mutations.

    Args:
        space: of the settings.
        seed: of the mutations.
    """

    def __init__(self, space: ParameterSpace, seed: int) -> None:
        self._space = space
        self.random = np.random.default_rng([seed % 2**63, 0])
        self.length = _FIRST

    def mutated(self, point: FloatArray, length: float) -> FloatArray:
        """`point: [P]` with some of its parameters moved."""
        count = len(point)
        moved = self.random.uniform(size=count) < max(1.0 / count, _MOVING)
        moved[self.random.integers(count)] = True
        return self._space.snap(np.clip(point + length * self.random.standard_normal(count) * moved, 0.0, 1.0))

    def adapt(self, success: bool) -> None:
        """After a mutation was rendered: whether it is the best now."""
        self.length = min(_LONGEST, _SUCCESS * self.length) if success else max(_SHORTEST, _FAILURE * self.length)
