"""Emulator, local step, mutation and line search in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.acquisition import propose
from blackbox_grad.search.emulator import Emulator
from blackbox_grad.search.line_search import LineSearch
from blackbox_grad.search.local_step import local_step
from blackbox_grad.search.mutation import Mutation

#: Settings that differ by less are the same.
_SAME = 1e-4

#: Mutations tried in place of a proposal that is known already.
_TRIES = 8

#: Candidates for each proposal that are crossed with places.
_CROSSED = 256

#: A pursuit searches along lines after so many proposals without success.
PATIENCE = 24

#: A loss this much lower is a success.
_SUCCESS = 0.99

#: Kinds of proposals in turn, without and with lines.
_KINDS = ("expected", "step", "mutation", "unknown", "step", "mutation")
_WITH_LINES = ("line", "expected", "line", "mutation", "line", "step", "line", "mutation")

#: Exploration of the "unknown" proposals, in turn.
_EXPLORATIONS = (0.5, 0.5, 1.5)


class Pursuit:
    """A searcher that proposes settings of four kinds in turn.

    They are: where an emulator expects the lowest loss; a Gauss-Newton step from the best settings; where little is known; and
    a mutation of the best settings. Where none of these helps, every second proposal is on a line through the best settings. A
    mutation also takes the place of a proposal that is known, or nearer than 1e-4 to a known one, as the last steps to a
    minimum are.

    It learns from all results, also at settings that it did not ask for.

    Args:
        space: of the settings.
        seed: of emulator and mutations.
        patience: proposals that may fail to lower the loss by a hundredth before lines are searched, as long as a `LineSearch`
            proposes any. None for no lines.
        places: `[N, P]`: settings that make sense, such as factory presets. Their values are tried in place of single ones of the
            best settings.
    """

    def __init__(
        self, space: ParameterSpace, seed: int = 0, patience: int | None = PATIENCE, places: FloatArray | None = None
    ) -> None:
        self.emulator, self.patience = Emulator(space, seed), patience
        self._space = space
        self._mutation = Mutation(space, seed, places)
        self._last_mutation: FloatArray | None = None
        self._turn = self._explorations = 0
        self._lines: LineSearch | None = None
        self._on_lines: list[FloatArray] = []
        self._lowest, self._failures = math.inf, 0

    @property
    def best(self) -> FloatArray:
        """The settings with the lowest loss so far, `[P]`."""
        return self.emulator.best

    @property
    def lowest(self) -> float:
        """The lowest loss so far; infinity before any."""
        return self.emulator.lowest

    def ask(self, count: int) -> FloatArray:
        """`[≤ count, P]`: settings in the box, stepped parameters at their levels, new but for some on lines.

        Fewer, or none, where no new ones are found.
        """
        emulator = self.emulator
        if not len(emulator):
            return self._space.snap(self._mutation.random.uniform(size=(count, len(self._space))))
        emulator.fit()
        best = emulator.best
        self._look_back(best)
        self._failures += count
        kinds = self._next_kinds(count)
        trials = list(self._on_lines)
        for kind in kinds:
            trial = self._proposal(kind, best)
            length = 0.3 * self._mutation.length if kind != "unknown" else 1.0
            known = [*emulator.points, *trials]
            for _ in range(_TRIES):
                if all(np.abs(trial - other).max() >= _SAME for other in known):
                    trials.append(trial)
                    if kind == "mutation":
                        self._last_mutation = trial
                    break
                trial, length = self._mutation.mutated(best, length), 2 * length
        return np.array(trials).reshape(len(trials), len(self._space))

    def tell(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor]) -> None:
        if self._lines is not None:
            asked = [i for i, point in enumerate(points) if any(np.array_equal(point, other) for other in self._on_lines)]
            self._lines.tell(points[asked], losses[asked])
            known = points[asked]
            self._on_lines = [p for p in self._on_lines if not any(np.array_equal(p, other) for other in known)]
        self.emulator.add(points, losses, residuals)

    def _proposal(self, kind: str, best: FloatArray) -> FloatArray:
        if kind == "mutation":
            return self._mutation.mutated(best, self._mutation.length)
        if kind == "step":
            return self._space.snap(local_step(self.emulator))
        exploration = 0.0
        if kind == "unknown":
            exploration = _EXPLORATIONS[self._explorations % len(_EXPLORATIONS)]
            self._explorations += 1
        return self._space.snap(propose(self.emulator, best, exploration, self._mutation.crossed(best, _CROSSED)))

    def _next_kinds(self, count: int) -> list[str]:
        """Of so many proposals. Those on lines are made at once; others take the place of those that lines lack."""
        turns = range(self._turn, self._turn + count)
        self._turn += count
        kinds = [_KINDS[turn % len(_KINDS)] for turn in turns]
        if self._lines is None:
            return kinds
        with_lines = [_WITH_LINES[turn % len(_WITH_LINES)] for turn in turns]
        wanted = with_lines.count("line")
        if wanted:
            self._on_lines = list(self._lines.ask(wanted))
        return [kind for kind in with_lines if kind != "line"] + kinds[: wanted - len(self._on_lines)]

    def _look_back(self, best: FloatArray) -> None:
        """What came of the settings proposed last."""
        if self._last_mutation is not None:
            self._mutation.adapt(np.array_equal(best, self._last_mutation))
            self._last_mutation = None
        self._on_lines = []
        lowest = self.emulator.lowest
        if lowest < _SUCCESS * self._lowest:
            self._lowest, self._failures = lowest, 0
            if self._lines is not None and not self._lines.through(best):
                self._lines = None
        elif self.patience is not None and self._failures >= self.patience and self._lines is None and lowest > 0:
            self._lines = LineSearch(self._space, best, lowest)
