"""Summary of an evaluation: means, and their confidence intervals."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.evaluation.results import AUDIBLE, Row
from blackbox_grad_adapters.style_matching.measures.audibility import JUST_AUDIBLE
from blackbox_grad_adapters.style_matching.measures.metrics import METRICS

#: Resamples of the bootstrap, and the share of them inside an interval.
_RESAMPLES, _CONFIDENCE = 2000, 0.95

#: Names of parameters that say how much of the effect there is.
_HOW_MUCH = re.compile(r"mix|depth|wet|amount", re.IGNORECASE)

#: Rows of a method, by the example's index.
Rows: TypeAlias = Mapping[int, Row]

#: Summarised beside the metrics.
SETTINGS = "settings"


class Interval(NamedTuple):
    """A mean or a ratio of means, and its 95 % confidence interval: percentiles of bootstrap resamples of the examples.

    One example has no interval: `low` and `high` are NaN.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """A method on an effect and a kind of recordings.

    Attributes:
        examples: the number of measured examples.
        means: of each metric, and of the absolute error of the settings (`SETTINGS`); NaN if no example has it.
        ratios: for each metric that is an error, its mean divided by the mean of the dry input.
        hedged: share of the examples with an audible effect for which the result is not audibly effected.
        slopes: by parameter that says how much of the effect there is (mix, depth, …), the slope of the method's over the true
            value: 1 follows it, 0 is always the same.
        lives: the judge by which the effect is most audible, in the median of its examples: where its style lives.
        nearer: share of the examples with an effect that are nearer to the truth than the dry input, by MRSTFT.
        wet: the ratio of MRSTFT over the examples with an effect only.
        clean: mean MRSTFT of the examples without effect, where the dry input has 0.
        explained: by parameter, the share of its variance that the method has found; 1 is all, 0 is what the mean gives.
    """

    effect: str
    kind: str
    method: str
    examples: int
    means: Mapping[str, Interval]
    ratios: Mapping[str, Interval]
    hedged: Interval
    slopes: Mapping[str, float]
    lives: str
    nearer: float
    wet: Interval
    clean: float
    explained: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Ready for `json.dumps`: NaN is None."""
        return {
            "effect": self.effect,
            "kind": self.kind,
            "method": self.method,
            "examples": self.examples,
            "means": {name: _plain(e) for name, e in self.means.items()},
            "ratios": {name: _plain(e) for name, e in self.ratios.items()},
            "hedged": _plain(self.hedged),
            "slopes": {name: _or_none(value) for name, value in self.slopes.items()},
            "lives": self.lives,
            "nearer": _or_none(self.nearer),
            "wet": _plain(self.wet),
            "clean": _or_none(self.clean),
            "explained": {name: _or_none(value) for name, value in self.explained.items()},
        }


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """One for each effect, kind and method, in the order of the rows."""
    tables: defaultdict[tuple[str, str], defaultdict[str, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        tables[row["effect"], row["kind"]][row["method"]][row["index"]] = row
    return [
        _summary(effect, kind, method, found, methods.get("dry", {}), methods.get("truth", {}))
        for (effect, kind), methods in tables.items()
        for method, found in methods.items()
    ]


def _summary(effect: str, kind: str, method: str, found: Rows, dry: Rows, truth: Rows) -> Summary:
    shared = sorted(found.keys() & dry.keys())
    ratios = {}
    for name in (name for name, metric in METRICS.items() if metric.error):
        values, others = (_column(rows, shared, name) for rows in (found, dry))
        both = np.isfinite(values) & np.isfinite(others)
        ratios[name] = ratio(values[both], others[both])
    wet = [index for index in shared if not found[index]["clean"]]
    clean = [index for index in found if found[index]["clean"]]
    values, others = (_column(rows, wet, "mrstft") for rows in (found, dry))
    errors, explained = _settings(found, truth)
    effected = {index: _audibility(dry[index]) for index in wet}
    heard = [index for index, by_judge in effected.items() if max(by_judge.values()) > 1.0]
    return Summary(
        effect=effect,
        kind=kind,
        method=method,
        examples=len(found),
        means={**{name: mean(_column(found, sorted(found), name)) for name in METRICS}, SETTINGS: mean(errors)},
        ratios=ratios,
        hedged=mean((_column(found, heard, AUDIBLE) <= 1.0).astype(float)),
        slopes=_slopes(found, truth),
        lives=max(JUST_AUDIBLE, key=lambda name: float(np.median([by[name] for by in effected.values()]))) if effected else "",
        nearer=mean((values < others).astype(float)).value,
        wet=ratio(values, others),
        clean=mean(_column(found, clean, "mrstft")).value,
        explained=explained,
    )


def _audibility(dry: Row) -> dict[str, float]:
    """By judge, how far the truth is from the dry input, in units of what is just audible."""
    return {name: dry[name] / least for name, least in JUST_AUDIBLE.items()}


def _set(found: Rows, truth: Rows) -> list[int]:
    """The examples with true settings; none if a result of theirs has no settings, since it went through no effect."""
    set_ = [i for i in sorted(found.keys() & truth.keys()) if truth[i]["settings"]]
    return set_ if all(found[i]["settings"] for i in set_) else []


def _slopes(found: Rows, truth: Rows) -> dict[str, float]:
    both = _set(found, truth)
    names = [name for name in (truth[both[0]]["settings"] if both else ()) if _HOW_MUCH.search(name)]
    slopes = {}
    for name in names:
        p, wanted = (np.array([rows[i]["settings"][name] for i in both]) for rows in (found, truth))
        spread = wanted - wanted.mean()
        slopes[name] = float((p * spread).sum() / (spread**2).sum()) if (spread != 0).any() else float("nan")
    return slopes


def _settings(found: Rows, truth: Rows) -> tuple[FloatArray, dict[str, float]]:
    """Mean absolute error of each example `[N]`, and for each parameter the share of its variance that was found."""
    both = _set(found, truth)
    if not both:
        return np.array([]), {}
    names = list(truth[both[0]]["settings"])
    p, wanted = (np.array([[rows[i]["settings"][name] for name in names] for i in both]) for rows in (found, truth))
    shares = 1 - ((p - wanted) ** 2).mean(axis=0) / np.maximum(wanted.var(axis=0), 1e-6)
    return np.abs(p - wanted).mean(axis=1), dict(zip(names, shares.tolist(), strict=True))


def mean(values: FloatArray) -> Interval:
    """Mean of the finite values of `[N]`."""
    values = values[np.isfinite(values)]
    return ratio(values, np.ones_like(values))


def ratio(values: FloatArray, others: FloatArray) -> Interval:
    """The ratio of two means over `[N]` examples each, which are resampled together.

    B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7(1), 1979, doi:10.1214/aos/1176344552.
    """
    count = len(values)
    if count == 0 or others.sum() == 0:
        return Interval(np.nan, np.nan, np.nan)
    if count == 1:
        return Interval(float(values[0] / others[0]), np.nan, np.nan)
    drawn = _resamples(count)
    below = drawn @ others
    ratios = (drawn @ values)[below > 0] / below[below > 0]
    low, high = np.quantile(ratios, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Interval(float(values.sum() / others.sum()), float(low), float(high))


@functools.lru_cache(64)
def _resamples(count: int) -> FloatArray:
    """`[_RESAMPLES, count]`: how often each resample contains each example."""
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=_RESAMPLES).astype(float)


def _column(rows: Rows, indices: Iterable[int], name: str) -> FloatArray:
    return np.array([rows[index][name] for index in indices], dtype=float)


def _plain(estimate: Interval) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in estimate._asdict().items()}


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
