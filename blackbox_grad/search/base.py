"""Ask and tell: a searcher proposes settings, and learns their losses.

A searcher never renders. Its driver asks for settings, renders them, and tells the losses:

    while len(points := searcher.ask(8)):
        losses, residuals = evaluate(points)
        searcher.tell(points, losses, residuals)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from torch import Tensor

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: The results of `N` renders: the losses `[N]`, infinite where a render was not finite, and `N` times residuals `[R]`, whose
#: absolute values add up to the loss.
Found: TypeAlias = tuple[FloatArray, Sequence[Tensor]]

#: A search written as one function: it yields settings to render, `[N, P]`, and receives the results.
Script: TypeAlias = Generator[FloatArray, Found, None]


class Searcher(Protocol):
    """Searches for the settings with the lowest loss."""

    def ask(self, count: int) -> FloatArray:
        """The settings to render next, `[≤ count, P]` in [0, 1]; none at its end."""
        ...

    def tell(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor]) -> None:
        """Learn the results of renders.

        Args:
            points: `[N, P]`: settings that `ask` gave, in its order, stepped parameters at their levels.
            losses: `[N]`, infinite where a render was not finite.
            residuals: `N` times `[R]`: their absolute values add up to the loss. Where a loss has no residuals, `R` is 1: the loss
                itself.
        """
        ...


class ScriptedSearcher(ABC):
    """A searcher whose plan is one function, `script`.

    A script yields as many settings as it needs at once. `ask` may return them in parts; the script continues when all results
    are there.
    """

    def __init__(self, space: ParameterSpace) -> None:
        self.space = space
        self._script = self.script()
        self._begun = False
        self._nothing_yet()

    @abstractmethod
    def script(self) -> Script:
        """The plan. It starts at the first `ask`."""

    def ask(self, count: int) -> FloatArray:
        if not self._begun:
            self._begun = True
            self._go_on(lambda: next(self._script))
        points = self._wanted[self._asked : self._asked + count]
        self._asked += len(points)
        return points

    def tell(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor]) -> None:
        self._losses += np.asarray(losses, dtype=np.float64).tolist()
        self._residuals += list(residuals)
        if len(self._losses) >= len(self._wanted):
            found = np.array(self._losses), self._residuals
            self._go_on(lambda: self._script.send(found))

    def _go_on(self, resume: Callable[[], FloatArray]) -> None:
        self._nothing_yet()
        try:
            wanted = resume()
            while not len(wanted):
                wanted = self._script.send((np.empty(0), []))
        except StopIteration:
            return
        self._wanted = self.space.snap(wanted)

    def _nothing_yet(self) -> None:
        self._wanted = np.empty((0, len(self.space)))
        self._asked = 0
        self._losses: list[float] = []
        self._residuals: list[Tensor] = []
