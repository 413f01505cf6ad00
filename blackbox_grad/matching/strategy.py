"""The strategy of `match`: an emulator, Gauss-Newton steps and lines, from one start after the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.base import Found, Script, ScriptedSearcher, Searcher
from blackbox_grad.search.line_search import LineSearch
from blackbox_grad.search.polish import Polish
from blackbox_grad.search.pursuit import Pursuit
from blackbox_grad.search.sampling import Sampling


@dataclass(frozen=True)
class Renders:
    """A number of renders: some, and some more for each parameter."""

    base: int
    each: int

    def of(self, parameters: int) -> int:
        return self.base + self.each * parameters


@dataclass(frozen=True)
class StrategyNumbers:
    """Every number of the strategy.

    Attributes:
        enough: it has converged when the loss is this part of the loss at the start.
        all_settings: if there are no more settings than this, all are rendered.
        samples, least_samples, most_samples, samples_share: quasi-random renders of an attempt: so many, within these two
            bounds, and at most this part of all renders that are allowed.
        proposals: renders at a time that a `Pursuit` proposes.
        emulation: renders without success that end the emulation.
        success: a loss this much lower is a success of the emulation.
        polish: renders without success that end a polish from the best settings.
        lines, line_proposals: renders along single parameters, in all and at a time.
        valleys: other valleys along the lines that are polished.
        refit: renders without success that end the polish of a valley, in which its parameter is held.
        near_best: a valley with a loss up to this multiple of the best is polished again, with all parameters free.
        valley_polish: renders without success that end that.
        round: a round of emulation, polish and lines goes on as long as each leaves less than this part of the loss.
        attempt: an attempt that leaves more than this part of the loss has failed.
        attempts: so many of these in a row end the search,
        good, attempts_when_good: and so many if the loss is below this part of the loss at the start.
    """

    enough: float = 1e-4
    all_settings: int = 64
    samples: Renders = Renders(2, 1)
    least_samples: int = 6
    most_samples: int = 16
    samples_share: float = 0.25
    proposals: int = 3
    emulation: Renders = Renders(64, 12)
    success: float = 0.99
    polish: Renders = Renders(32, 4)
    lines: Renders = Renders(64, 16)
    line_proposals: int = 8
    valleys: int = 4
    refit: Renders = Renders(8, 1)
    near_best: float = 1.5
    valley_polish: Renders = Renders(16, 2)
    round: float = 0.8
    attempt: float = 0.98
    attempts: int = 3
    good: float = 0.01
    attempts_when_good: int = 2


#: For instruments: more samples, as their loss has many valleys.
INSTRUMENTS = StrategyNumbers(samples=Renders(2, 5), most_samples=100)


class Strategy(ScriptedSearcher):
    """One attempt after the other, until several in a row have failed.

    An attempt begins with quasi-random settings. Then a `Pursuit`, a `Polish` from its best settings, and a `LineSearch` through
    these take turns while they help.

    Args:
        space: of the settings.
        seed: of all randomness.
        limit: renders allowed.
        start: the results at the defaults, and then at `places`.
        numbers: of the strategy.
        places: `[N, P]`: settings that may be near. The first attempt begins with them.

    Attributes:
        phase: "search", "emulation", "polish" or "lines"; "lines" includes the polish of the valleys found on them.
        method, reason: what it did, and why.
        lowest: the lowest loss so far.
    """

    def __init__(
        self,
        space: ParameterSpace,
        seed: int,
        limit: int,
        start: Found,
        numbers: StrategyNumbers = StrategyNumbers(),
        places: FloatArray | None = None,
    ) -> None:
        super().__init__(space)
        self._seed, self._limit, self._found_at_start, self.numbers = seed, limit, start, numbers
        self.phase = "search"
        self.method, self.reason = "search", "All renders went into the search for a start."
        self._known = space.snap(np.concatenate([space.defaults[None], *([] if places is None else [places])]))
        self._places, self._start = places, float(start[0][0])
        self.lowest = float(start[0].min())
        self._enough = numbers.enough * self._start if math.isfinite(self._start) else 0.0
        self._renders = len(self._known)
        self._pursuit: Pursuit | None = None

    def script(self) -> Script:
        numbers = self.numbers
        if not len(self.space):
            self.reason = "Nothing was searched: no parameter is free."
            return
        levels = [parameter.levels or math.inf for parameter in self.space]
        if math.prod(levels) <= min(numbers.all_settings, self._limit - 1):
            self.method = "all settings"
            self.reason = "No gradient was estimated: there are so few settings that all were tried."
            yield np.array(list(itertools.product(*(np.linspace(0.0, 1.0, int(count)) for count in levels))))
            return
        self.method = "emulator"
        self.reason = "No gradient was estimated: settings were tried where an emulator of the effect expected a low loss."
        before, idle = math.inf, 0
        for seed in itertools.count(self._seed):
            pursuit = Pursuit(self.space, seed, places=self._places)
            self._tell_starts(pursuit, leaving_out=seed - self._seed)
            yield from self._attempt(pursuit, seed)
            found = math.isfinite(self.lowest)
            idle = idle + 1 if found and not self.lowest < numbers.attempt * before else 0
            good = math.isfinite(self._start) and self.lowest < numbers.good * self._start
            if self.lowest <= self._enough or idle >= (numbers.attempts_when_good if good else numbers.attempts):
                return
            before = self.lowest

    def _tell_starts(self, pursuit: Pursuit, leaving_out: int) -> None:
        """All that is known of the defaults and the starts, but for so many of the best, which earlier attempts went on from."""
        losses, residuals = self._found_at_start
        told = np.argsort(losses, kind="stable")[leaving_out:]
        pursuit.tell(self._known[told], losses[told], [residuals[i] for i in told])

    def _attempt(self, pursuit: Pursuit, seed: int) -> Script:
        numbers, count = self.numbers, len(self.space)
        self._pursuit = pursuit
        self.phase = "search"
        samples = max(numbers.least_samples, numbers.samples.of(count))
        samples = min(samples, numbers.most_samples, int(numbers.samples_share * self._limit))
        yield from self._rendered(Sampling(self.space, seed, middle=True).ask(samples))
        before = math.inf
        while pursuit.lowest < numbers.round * before:
            self.phase = "emulation"
            yield from self._emulate(pursuit)
            if pursuit.lowest <= self._enough:
                return
            self.phase = "polish"
            yield from self._polish(pursuit.best, numbers.polish)
            if pursuit.lowest <= self._enough:
                return
            before = pursuit.lowest
            self.phase = "lines"
            yield from self._search_lines(pursuit, LineSearch(self.space, pursuit.best, before), before)
            if pursuit.lowest <= self._enough:
                return

    def _emulate(self, pursuit: Pursuit) -> Script:
        numbers = self.numbers
        patience = numbers.emulation.of(len(self.space))
        reference, since = pursuit.lowest, self._renders
        while pursuit.lowest > self._enough and self._renders - since < patience:
            points = pursuit.ask(numbers.proposals)
            if not len(points):
                return
            yield from self._rendered(points)
            if pursuit.lowest < numbers.success * reference:
                reference, since = pursuit.lowest, self._renders

    def _polish(self, start: FloatArray, patience: Renders, held: int | None = None) -> Generator[FloatArray, Found, Polish]:
        polish = Polish(self.space, start, enough=self._enough, patience=patience.of(len(self.space)), held=held)
        yield from self._drive(polish, math.inf)
        return polish

    def _search_lines(self, pursuit: Pursuit, lines: LineSearch, before: float) -> Script:
        """Search along the lines, then in other valleys on them."""
        numbers = self.numbers
        until = self._renders + numbers.lines.of(len(self.space))
        yield from self._drive(lines, numbers.line_proposals, lambda: self._renders < until and self.lowest > self._enough)
        for start in lines.valleys()[: numbers.valleys]:
            if pursuit.lowest <= self._enough:
                return
            there = yield from self._polish(start, numbers.refit, held=lines.parameter_of(start))
            if there.lowest < numbers.near_best * before:
                yield from self._polish(there.best, numbers.valley_polish)

    def _drive(self, searcher: Searcher, at_once: float, go_on: Callable[[], bool] = lambda: True) -> Script:
        while go_on():
            points = searcher.ask(int(min(at_once, self._limit)))
            if not len(points):
                return
            found = yield from self._rendered(points)
            searcher.tell(points, *found)

    def _rendered(self, points: FloatArray) -> Generator[FloatArray, Found, Found]:
        """The results at `points: [N, P]`. The pursuit learns from every render."""
        points = self.space.snap(points)
        losses, residuals = yield points
        self._renders += len(points)
        self.lowest = min(self.lowest, float(losses.min(initial=math.inf)))
        if self._pursuit is not None:
            self._pursuit.tell(points, losses, residuals)
        return losses, residuals
