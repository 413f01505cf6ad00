"""The results of a MUSHRA test: means with confidence, and paired tests."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blackbox_grad.dependencies import library
from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.listening.anchors import ANCHORS
from blackbox_grad_adapters.style_matching.listening.answers import Answers
from blackbox_grad_adapters.style_matching.listening.items import REFERENCE

#: From so many listeners on, a signed-rank test of their means can be significant (2/2⁶ < 0.05): then listeners are the sample.
ENOUGH_LISTENERS = 6

#: The group of all effects together.
ALL = ""


@dataclass(frozen=True)
class Rating:
    """One listener's rating of one sound, 0 to 100."""

    listener: str
    trial: str
    effect: str
    system: str
    value: float


@dataclass(frozen=True)
class Mean:
    """How a system was rated.

    Attributes:
        effect: `ALL` is all effects.
        value: the mean.
        low, high: its 95 % confidence interval, by Student's t; NaN for a single value.
        median: of the ratings.
        ratings: their number.
    """

    effect: str
    system: str
    value: float
    low: float
    high: float
    median: float
    ratings: int


@dataclass(frozen=True)
class Difference:
    """Two systems, compared pair by pair.

    Attributes:
        value: mean rating of `first` less that of `second`.
        p: of Wilcoxon's signed-rank test, two-sided.
        p_holm: corrected for all tests of the same table by Holm's method.
    """

    effect: str
    first: str
    second: str
    value: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class Rated:
    """All results of a MUSHRA test.

    Attributes:
        by_listener: whether listeners are the sample, each by the mean of the ratings. With fewer than `ENOUGH_LISTENERS`, single
            ratings are, and the results speak for these listeners only.
    """

    listeners: list[str]
    by_listener: bool
    means: list[Mean]
    differences: list[Difference]
    outliers: list[Rating]


def rated(answers: Answers, listeners: Iterable[str]) -> Rated:
    """The results of these listeners."""
    kept = [name for name in listeners if name in answers.listeners]
    ratings = [
        Rating(listener, trial.id, trial.effect, system, value)
        for listener in kept
        for trial in answers.test.trials
        if trial.id in answers.listeners[listener]
        for system, value in answers.listeners[listener][trial.id]["ratings"].items()
    ]
    by_listener = len(kept) >= ENOUGH_LISTENERS
    groups = {ALL: ratings}
    effects = list(dict.fromkeys(rating.effect for rating in ratings))
    if len(effects) > 1:
        groups |= {effect: [r for r in ratings if r.effect == effect] for effect in effects if effect}
    means = [mean for effect, group in groups.items() for mean in _means(effect, group, by_listener)]
    overall = _differences(ALL, ratings, by_listener)
    apart = [d for effect, group in groups.items() if effect != ALL for d in _differences(effect, group, by_listener)]
    return Rated(kept, by_listener, means, [*_corrected(overall), *_corrected(apart)], _outliers(ratings))


def holm(p: Sequence[float]) -> list[float]:
    """p values of a family of tests, corrected (S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 6, 1979)."""
    corrected = [0.0] * len(p)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = largest
    return corrected


def interval(values: FloatArray) -> tuple[float, float, float]:
    """The mean of `[N]`, and its 95 % confidence interval by Student's t."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    stats = library("scipy.stats", "the results of a listening test")
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / np.sqrt(len(values))
    return mean, mean - half, mean + half


def _means(effect: str, ratings: Sequence[Rating], by_listener: bool) -> list[Mean]:
    """By system, the best first."""
    made = []
    for system in dict.fromkeys(rating.system for rating in ratings):
        values = [rating.value for rating in ratings if rating.system == system]
        mean, low, high = interval(np.array(list(_sample(ratings, system, by_listener).values())))
        made.append(Mean(effect, system, mean, low, high, float(np.median(values)), len(values)))
    return sorted(made, key=lambda mean: -mean.value)


def _differences(effect: str, ratings: Sequence[Rating], by_listener: bool) -> list[Difference]:
    """All pairs of systems under test, not yet corrected."""
    systems = [s for s in dict.fromkeys(r.system for r in ratings) if s != REFERENCE and s not in ANCHORS]
    made = []
    for first, second in itertools.combinations(systems, 2):
        rated_first = _sample(ratings, first, by_listener)
        rated_second = _sample(ratings, second, by_listener)
        both = [key for key in rated_first if key in rated_second]
        if not both:
            continue
        apart = np.array([rated_first[key] - rated_second[key] for key in both])
        made.append(Difference(effect, first, second, float(apart.mean()), signed_rank(apart), float("nan")))
    return made


def signed_rank(differences: FloatArray) -> float:
    """The two-sided p value of Wilcoxon's signed-rank test, with zeros ranked and left out (J. W. Pratt, 1959); 1 if all are 0."""
    if not differences.any():
        return 1.0
    stats = library("scipy.stats", "the results of a listening test")
    return float(stats.wilcoxon(differences, zero_method="pratt").pvalue)


def _corrected(differences: Sequence[Difference]) -> list[Difference]:
    corrected = holm([difference.p for difference in differences])
    return [replace(difference, p_holm=p) for difference, p in zip(differences, corrected, strict=True)]


def _sample(ratings: Sequence[Rating], system: str, by_listener: bool) -> dict[Any, float]:
    """The ratings of a system, each with what it is paired by: the listener, or the listener and the trial."""
    if not by_listener:
        return {(rating.listener, rating.trial): rating.value for rating in ratings if rating.system == system}
    values: defaultdict[str, list[float]] = defaultdict(list)
    for rating in ratings:
        if rating.system == system:
            values[rating.listener].append(rating.value)
    return {listener: float(np.mean(given)) for listener, given in values.items()}


def _outliers(ratings: Sequence[Rating]) -> list[Rating]:
    """Ratings more than 1.5 interquartile ranges outside the quartiles of their trial and system (ITU-R BS.1534-3, 4.1.2).

    They count: the recommendation removes one only if it was an error.
    """
    groups: defaultdict[tuple[str, str], list[Rating]] = defaultdict(list)
    for rating in ratings:
        groups[rating.trial, rating.system].append(rating)
    found = []
    for group in groups.values():
        values = sorted(rating.value for rating in group)
        half = (len(values) + 1) // 2  # the quartiles are medians of the halves, each with the middle value
        low, high = float(np.median(values[:half])), float(np.median(values[-half:]))
        reach = 1.5 * (high - low)
        found += [rating for rating in group if not low - reach <= rating.value <= high + reach]
    return found
