"""How the settings are searched."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from blackbox_grad.errors import EstimatorError
from blackbox_grad.matching.curve_search import CurveSearch
from blackbox_grad.matching.descent import Descent
from blackbox_grad.matching.driver import Driver
from blackbox_grad.matching.objective import BudgetSpent
from blackbox_grad.matching.strategy import Strategy, StrategyNumbers
from blackbox_grad.matching.tidying import renders_for, tidy
from blackbox_grad.matching.turns import TOGETHER, Turns
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.base import Found, Searcher

#: Makes a searcher of settings, from their space and a seed.
SearcherOf: TypeAlias = Callable[[ParameterSpace, int], Searcher]


class Method:
    """How the settings are searched: by the usual strategy, by a searcher of the caller's, or by an estimator's gradients.

    Args:
        descent, searcher: one of these, or none for the usual strategy.
        places: `[N, P]`: starts, which are rendered before.
        numbers: of the usual strategy.
        curves: takes the place of the usual strategy where settings move.

    Attributes:
        start: `[P]`: the best of the defaults and the starts.
    """

    def __init__(
        self,
        descent: Descent | None,
        searcher: SearcherOf | None,
        places: FloatArray,
        numbers: StrategyNumbers,
        curves: CurveSearch | None = None,
    ) -> None:
        self._descent, self._searcher, self._places, self._numbers = descent, searcher, places, numbers
        self._curves = curves
        self._told: Descent | Strategy | Turns | CurveSearch | None = descent
        self.start = np.empty(0)
        self.searcher_name = ""

    @property
    def name(self) -> str:
        """Of the method."""
        return self.searcher_name or (self._told.method if self._told is not None else "search")

    @property
    def reason(self) -> str:
        """Why it was chosen."""
        if self.searcher_name:
            return "Chosen by the caller: a searcher."
        return self._told.reason if self._told is not None else "All renders went into the search for a start."

    def run(self, driver: Driver, seed: int) -> None:
        """Search until the method has come to its end, or `BudgetSpent` is raised."""
        space = driver.objective.space
        start = driver.evaluate_start()
        self.start = space.snap(space.defaults)
        if len(self._places):
            losses, residuals = driver.evaluate(self._places, "starts")
            start = np.append(start[0], losses), [*start[1], *residuals]
            self.start = driver.objective.best_point
        if self._descent is not None and len(space):
            self._descent.run(driver, seed, self._places, start[0][1:])
        elif self._searcher is not None and len(space):
            # it may begin at the defaults of its space
            searcher = self._searcher(ParameterSpace(space.everything, space.free, space.complete(self.start).tolist()), seed)
            if not (callable(getattr(searcher, "ask", None)) and callable(getattr(searcher, "tell", None))):
                raise EstimatorError(f"match: {searcher!r} is not a searcher: it needs the methods ask and tell")
            unnamed = type(searcher).__repr__ is object.__repr__
            self.searcher_name = type(searcher).__name__ if unnamed else repr(searcher)
            driver.drive(searcher)
        elif self._curves is not None and len(space):
            self._told = self._curves
            self._curves.run(driver)
        elif len(space) <= TOGETHER:
            self._told = strategy = Strategy(space, seed, driver.objective.limit, start, self._numbers, self._places)
            driver.drive(strategy)
        else:
            self._take_turns(driver, seed, start)

    def _take_turns(self, driver: Driver, seed: int, start: Found) -> None:
        """Search many parameters; at the end, those that do no good return to their defaults."""
        objective = driver.objective
        limit, kept = objective.limit, renders_for(len(objective.space), objective.limit)
        self._told = turns = Turns(objective.space, seed, limit - kept, start, self._places)
        objective.limit -= kept
        spent: BudgetSpent | None = None
        try:
            driver.drive(turns)
        except BudgetSpent as error:
            spent = error
        objective.limit = limit
        if math.isfinite(objective.best_loss):
            tidy(driver)
        if spent is not None:
            raise spent
