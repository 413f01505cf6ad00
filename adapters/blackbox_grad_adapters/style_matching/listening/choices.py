"""The results of AB and ABX tests: how often, and whether by chance."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from blackbox_grad.dependencies import library
from blackbox_grad_adapters.style_matching.listening.answers import Answers
from blackbox_grad_adapters.style_matching.listening.ratings import ALL, holm


@dataclass(frozen=True)
class Count:
    """How two systems compare.

    Attributes:
        effect: `ALL` is all effects.
        hits: AB: how often `first` was chosen. ABX: how often X was recognised.
        answers: their number.
        low, high: the 95 % confidence interval of the share of hits, by Wilson's method.
        p: of the binomial test against one half: two-sided for AB, one-sided for ABX.
        p_holm: corrected for all tests of the same table by Holm's method.
    """

    effect: str
    first: str
    second: str
    hits: int
    answers: int
    low: float
    high: float
    p: float
    p_holm: float

    @property
    def share(self) -> float:
        return self.hits / self.answers


def counted(answers: Answers) -> list[Count]:
    """By pair of systems, over all effects and then by effect."""
    found: defaultdict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for trial in answers.test.trials:
        first, second = trial.systems
        for given in answers.listeners.values():
            if (answer := given.get(trial.id)) is None:
                continue
            hit = answer["choice"] == (first if answers.test.design == "ab" else answer["x"])
            found[ALL, first, second].append(hit)
            if trial.effect:
                found[trial.effect, first, second].append(hit)
    effects = {effect for effect, _, _ in found if effect != ALL}
    side = "two-sided" if answers.test.design == "ab" else "greater"
    overall = [_count(key, hits, side) for key, hits in found.items() if key[0] == ALL]
    apart = [_count(key, hits, side) for key, hits in found.items() if key[0] != ALL] if len(effects) > 1 else []
    return [*_corrected(overall), *_corrected(sorted(apart, key=lambda count: count.effect))]


def _count(key: tuple[str, str, str], hits: list[bool], side: str) -> Count:
    stats = library("scipy.stats", "the results of a listening test")
    tested = stats.binomtest(sum(hits), len(hits), 0.5, alternative=side)
    # the interval of the two-sided test, whatever the side of the p value
    between = stats.binomtest(sum(hits), len(hits), 0.5).proportion_ci(0.95, method="wilson")
    return Count(*key, sum(hits), len(hits), float(between.low), float(between.high), float(tested.pvalue), float("nan"))


def _corrected(counts: list[Count]) -> list[Count]:
    corrected = holm([count.p for count in counts])
    return [replace(count, p_holm=p) for count, p in zip(counts, corrected, strict=True)]
