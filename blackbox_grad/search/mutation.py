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

#: Parts of the parameters that a crossover takes from another point.
_SHARES = (0.1, 0.3, 0.6)


class Mutation:
    """Mutated settings, and the length of the mutations.

    Args:
        space: of the settings.
        seed: of the mutations.
        places: `[N, P]`: settings that make sense, such as factory presets, for crossovers.
    """

    def __init__(self, space: ParameterSpace, seed: int, places: FloatArray | None = None) -> None:
        self._space = space
        self._places = np.empty((0, len(space))) if places is None else places
        self.random = np.random.default_rng([seed % 2**63, 0])
        self.length = _FIRST

    def mutated(self, point: FloatArray, length: float) -> FloatArray:
        """`point: [P]` with some of its parameters moved."""
        count = len(point)
        moved = self.random.uniform(size=count) < max(1.0 / count, _MOVING)
        moved[self.random.integers(count)] = True
        return self._space.snap(np.clip(point + length * self.random.standard_normal(count) * moved, 0.0, 1.0))

    def crossed(self, point: FloatArray, count: int) -> FloatArray:
        """`[count, P]`: `point: [P]` with some parameters as in one of `places`, which is another for each; none without places.

        Uniform crossover: G. Syswerda, "Uniform crossover in genetic algorithms", ICGA 1989. It keeps to values that occur, such as
        an interval of an octave, or a switch that is off.
        """
        if not len(self._places):
            return np.empty((0, len(self._space)))
        others = self._places[self.random.integers(len(self._places), size=count)]
        shares = self.random.choice(np.array(_SHARES), size=(count, 1))
        taken = self.random.uniform(size=others.shape) < np.maximum(shares, 1.0 / len(self._space))
        return self._space.snap(np.where(taken, others, point))

    def adapt(self, success: bool) -> None:
        """After a mutation was rendered: whether it is the best now."""
        self.length = min(_LONGEST, _SUCCESS * self.length) if success else max(_SHORTEST, _FAILURE * self.length)
