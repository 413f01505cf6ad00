"""Emulator, local step, line search and mutation in turn."""

from __future__ import annotations

import math

import numpy as np

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.search.emulator import SAME, Emulator
from blackbox_grad.search.line_search import LineSearch

#: Times that settings are drawn again if they are known.
_TRIES = 8


#: Proposals without success after which a pursuit looks along lines.
_PATIENCE = 24


#: Kinds of proposals in turn, without and with lines.
_KINDS = ("expected", "step", "mutant", "unknown", "step", "mutant")


_WITH_LINES = ("line", "expected", "line", "mutant", "line", "step", "line", "mutant")


#: Of proposals where little is known, in turn.
_CURIOSITIES = (0.5, 0.5, 1.5)


class Pursuit:
    """The settings to try next, of four kinds in turn: where an emulator expects the lowest loss, Gauss-Newton steps from the best
    settings, where little is known, and mutants. Where none of these helps, lines take the place of half of them. Mutants also take
    the place of proposals that are known, or nearer than 1e-4 to known ones, such as the last steps to a minimum.

    A mutant is a step of an evolution strategy from the best settings, longer after a success and shorter after a failure; it
    needs no emulator, and so goes on where one is no help (H.-P. Schwefel, "Numerical optimization of computer models", 1981,
    the (1+1) strategy).

    Args:
        emulator: what is known.
        seed: of the mutants.
        patience: after so many proposals that did not lower the loss by a hundredth, every second one is on a line through what
            are then the best settings, as long as a `LineSearch` proposes any. None for no lines.
    """

    def __init__(self, emulator: Emulator, seed: int = 0, patience: int | None = _PATIENCE) -> None:
        self.emulator, self.patience = emulator, patience
        self._random = np.random.default_rng([seed % 2**63, 0])
        self._length, self._mutant = 0.2, np.full(len(emulator.space), np.nan)
        self._turn = self._curious = 0
        self._lines: LineSearch | None = None
        self._on_lines = np.empty((0, len(emulator.space)))
        self._lowest, self._failures = math.inf, 0

    def next(self, count: int) -> FloatArray:
        """`[≤ count, P]`: settings in the box, stepped parameters at their levels, none of them known but for some on lines.

        Fewer, or none, where no new ones are found.
        """
        emulator, space = self.emulator, self.emulator.space
        if not len(emulator):
            return space.snap(self._random.uniform(size=(count, len(space))))
        emulator.fit()
        best = emulator.best
        self._look_back(best)
        self._failures += count
        kinds = self._next_kinds(count)
        trials = list(self._on_lines)
        for kind in kinds:
            if kind == "mutant":
                trial = self._mutated(best, self._length)
            elif kind == "step":
                trial = space.snap(emulator.step())
            else:
                curiosity = 0.0
                if kind == "unknown":
                    curiosity = _CURIOSITIES[self._curious % len(_CURIOSITIES)]
                    self._curious += 1
                trial = space.snap(emulator.propose(best, curiosity))
            length = 0.3 * self._length if kind != "unknown" else 1.0
            known = [*emulator.points, *trials]
            for _ in range(_TRIES):
                if all(np.abs(trial - other).max() >= SAME for other in known):
                    trials.append(trial)
                    if kind == "mutant":
                        self._mutant = trial
                    break
                trial, length = self._mutated(best, length), 2 * length
        return np.array(trials).reshape(len(trials), len(space))

    def _next_kinds(self, count: int) -> list[str]:
        """Of so many proposals; those on lines are made at once, and others take the place of those that lines lack."""
        turns = range(self._turn, self._turn + count)
        self._turn += count
        kinds = [_KINDS[turn % len(_KINDS)] for turn in turns]
        if self._lines is None:
            return kinds
        with_lines = [_WITH_LINES[turn % len(_WITH_LINES)] for turn in turns]
        wanted = with_lines.count("line")
        if wanted:
            self._on_lines = self._lines.next(wanted)
        return [kind for kind in with_lines if kind != "line"] + kinds[: wanted - len(self._on_lines)]

    def _look_back(self, best: FloatArray) -> None:
        """What came of the settings proposed last."""
        emulator = self.emulator
        if np.isfinite(self._mutant).all():
            success = np.array_equal(best, self._mutant)
            self._length = min(0.4, 1.6 * self._length) if success else max(0.003, 0.88 * self._length)
            self._mutant = np.full(len(emulator.space), np.nan)
        if self._lines is not None and len(self._on_lines):
            self._lines.learn(self._on_lines, np.array([emulator.loss_at(point) for point in self._on_lines]))
        self._on_lines = self._on_lines[:0]
        if emulator.lowest < 0.99 * self._lowest:
            self._lowest, self._failures = emulator.lowest, 0
            if self._lines is not None and not self._lines.through(best):
                self._lines = None
        elif self.patience is not None and self._failures >= self.patience and self._lines is None and emulator.lowest > 0:
            self._lines = LineSearch(emulator.space, best, emulator.lowest)

    def _mutated(self, point: FloatArray, length: float) -> FloatArray:
        """`point` with some of its parameters moved."""
        count = len(point)
        moved = self._random.uniform(size=count) < max(1.0 / count, 0.35)
        moved[self._random.integers(count)] = True
        mutant = np.clip(point + length * self._random.standard_normal(count) * moved, 0.0, 1.0)
        return self.emulator.space.snap(mutant)
