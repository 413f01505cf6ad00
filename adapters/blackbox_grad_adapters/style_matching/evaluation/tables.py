"""An evaluation as tables, for the terminal and for the docs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from blackbox_grad_adapters.style_matching.evaluation.results import MODELS, ONE_WRONG
from blackbox_grad_adapters.style_matching.evaluation.summary import SETTINGS, Interval, Summary
from blackbox_grad_adapters.style_matching.measures.metrics import JUDGED, METRICS
from blackbox_grad_adapters.style_matching.networks import shipped

#: Headings, and rows of as many cells. The first column names the row.
Lines: TypeAlias = tuple[list[str], list[list[str]]]

#: The original system: mean MRSTFT divided by that of the dry input, over 5 000 examples per effect.
ORIGINAL = {
    "speech": {
        "VCTK": dict(zip(shipped.NINE, (0.56, 0.73, 0.78, 0.91, 1.02, 1.05, 1.14, 1.19, 1.25), strict=True)),
        "DAPS": dict(zip(shipped.NINE, (0.51, 0.70, 0.71, 1.00, 1.00, 0.99, 1.09, 1.06, 1.17), strict=True)),
    },
    "music": {"MusDB18": dict(zip(shipped.NINE, (0.52, 0.65, 0.75, 1.65, 1.09, 1.08, 1.15, 1.14, 1.17), strict=True))},
}


def label(address: str) -> str:
    """An effect in a table."""
    return address.removeprefix(f"{shipped.MDA}/")


def ordered(found: Sequence[Summary]) -> dict[str, dict[str, Summary]]:
    """By effect, with the package's effects first, and by method."""
    rank = {label(address): place for place, address in enumerate(shipped.EFFECTS)}
    by_effect: dict[str, dict[str, Summary]] = {}
    for summary in sorted(found, key=lambda s: (rank.get(label(s.effect), len(rank)), s.effect)):
        by_effect.setdefault(label(summary.effect), {})[summary.method] = summary
    return by_effect


def methods_of(found: Sequence[Summary]) -> list[str]:
    """The methods, from the worst expected to the best expected."""
    order = ("random", "middle", "dry", "nearest", *MODELS)
    names = {summary.method for summary in found if not summary.method.startswith(ONE_WRONG)}
    return [*(n for n in order if n in names), *sorted(names - {*order, "truth"}), *({"truth"} & names)]


def models_of(found: Sequence[Summary]) -> list[str]:
    """The methods that are a model's."""
    return [method for method in methods_of(found) if method in MODELS or method.startswith("refined")]


def everywhere(found: Sequence[Summary]) -> dict[str, list[Summary]]:
    """For one kind of recordings: methods measured on the same effects, so that their means can be compared.

    These are the effects on which most methods were measured.
    """
    names, by_effect = methods_of(found), list(ordered(found).values())
    most = max((len(by_method.keys() & names) for by_method in by_effect), default=0)
    chosen = [by_method for by_method in by_effect if len(by_method.keys() & names) == most]
    return {m: [by_method[m] for by_method in chosen] for m in names if all(m in by_method for by_method in chosen)}


def ratios(found: Sequence[Summary]) -> Lines:
    """MRSTFT relative to the dry input, for one kind of recordings: a row per effect, a column per method and the original system.

    "nearer": the share of examples in which the controller is nearer to the truth than the dry input.
    """
    methods = [method for method in methods_of(found) if method != "dry"]
    original = ORIGINAL.get(found[0].kind, {}) if found else {}
    by_effect = ordered(found)
    lines = []
    for name, by_method in by_effect.items():
        cells = [_interval(by_method[m].ratios["mrstft"]) if m in by_method else "" for m in methods]
        nearer = by_method["controller"].nearer if "controller" in by_method else math.nan
        counts = sorted({by_method[m].examples for m in methods if m in by_method})
        examples = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else ""
        lines.append(
            [name, examples, *cells, _percent(nearer), *(_number(theirs.get(name, math.nan)) for theirs in original.values())]
        )
    for title, group in _groups(by_effect).items():
        own = [[by_effect[n][m].ratios["mrstft"].value if m in by_effect[n] else math.nan for n in group] for m in methods]
        others = [[theirs.get(n, math.nan) for n in group] for theirs in original.values()]
        lines.append([title, "", *(_number(_mean(v)) for v in own), "", *(_number(_mean(v)) for v in others)])
    return ["effect", "examples", *methods, "nearer", *(f"original, {name}" for name in original)], lines


def judges(found: Sequence[Summary], method: str = "controller") -> Lines:
    """A method by the five judges, relative to the dry input, for one kind of recordings: a row per effect.

    "lives in": the judge by which the effect is most audible. "hedges": the share of audible effects of which nothing is audible in
    the result. "slope": of the method's over the true mix or depth.
    """
    by_effect = {name: by for name, by in ordered(found).items() if method in by}
    names = [name for name in JUDGED if any(math.isfinite(by[method].ratios[name].value) for by in by_effect.values())]
    lines = []
    for effect, by in by_effect.items():
        s = by[method]
        slopes = ", ".join(f"{name} {_number(slope)}" for name, slope in s.slopes.items())
        lines.append(
            [effect, str(s.examples), s.lives, *(_interval(s.ratios[name]) for name in names), _percent(s.hedged.value), slopes]
        )
    for title, group in _groups(by_effect).items():
        own = (_mean([by_effect[n][method].ratios[name].value for n in group]) for name in names)
        lines.append(
            [title, "", "", *map(_number, own), _percent(_mean([by_effect[n][method].hedged.value for n in group])), ""]
        )
    return ["effect", "examples", "lives in", *(METRICS[name].title for name in names), "hedges", "slope"], lines


def means(found: Sequence[Summary]) -> Lines:
    """Each metric, for one kind of recordings, averaged over the effects: a row per metric, a column per method."""
    methods = everywhere(found)
    lines = [
        [SETTINGS if name == SETTINGS else _heading(name), *(_pooled([s.means[name] for s in of]) for of in methods.values())]
        for name in (*_defined(found), SETTINGS)
    ]
    effects = {s.effect for of_method in methods.values() for s in of_method}
    return [f"mean of {len(effects)}", *methods], lines


def against_dry(found: Sequence[Summary], method: str = "controller") -> Lines:
    """Each metric of a method, and of the dry input in brackets: one row per effect."""
    names = _defined(found)
    lines = [
        [effect, *(f"{_short(by[method].means[name].value)} ({_short(by['dry'].means[name].value)})" for name in names)]
        for effect, by in ordered(found).items()
        if {method, "dry"} <= by.keys()
    ]
    return ["effect", *map(_heading, names)], lines


def explained(found: Sequence[Summary]) -> Lines:
    """The controller's MRSTFT with and without effect, and for each setting the share of its variance that is found, and its cost.

    The cost, in brackets, is the ratio of MRSTFT if that setting is the controller's and all others are true.
    """
    lines = []
    for name, by_method in ordered(found).items():
        if "controller" in by_method:
            summary = by_method["controller"]
            costs = {
                p: by_method[f"{ONE_WRONG}{p}"].wet.value if f"{ONE_WRONG}{p}" in by_method else 0.0 for p in summary.explained
            }
            order = sorted(summary.explained, key=lambda p: (-costs[p], -summary.explained[p]))
            text = ", ".join(f"{p} {summary.explained[p]:.2f}" + (f" ({costs[p]:.2f})" if costs[p] else "") for p in order)
            lines.append([name, _interval(summary.wet), _short(summary.clean), text])
    return ["effect", "ratio with effect", "MRSTFT without", "found of each setting (its cost)"], lines


def _defined(found: Sequence[Summary]) -> list[str]:
    """The metrics that were measured: PESQ is for speech only."""
    return [name for name in METRICS if any(math.isfinite(s.means[name].value) for s in found)]


def _groups(by_effect: Mapping[str, object]) -> dict[str, list[str]]:
    """Groups of effects to average over."""
    others = [name for name in by_effect if name not in shipped.NINE]
    groups = {"mean of the nine": list(shipped.NINE)} if set(shipped.NINE) <= by_effect.keys() else {}
    return groups | ({"mean of the others": others} if len(others) > 1 else {})


def _pooled(estimates: Sequence[Interval]) -> str:
    """The mean over effects, which are independent, with half its interval; empty unless all effects have a value."""
    there = [e for e in estimates if math.isfinite(e.value)]
    if not there or len(there) < len(estimates):
        return ""
    half = math.sqrt(sum(((e.high - e.low) / 2) ** 2 for e in there)) / len(there)
    mean = _short(_mean([e.value for e in there]))
    return f"{mean} ± {f'{half:.0f}' if half >= 10 else f'{half:.1g}'}" if math.isfinite(half) else mean


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _heading(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.title}, {metric.unit}" if metric.unit else metric.title


def _interval(e: Interval) -> str:
    half = (e.high - e.low) / 2
    return f"{e.value:.2f} ± {half:.2f}" if math.isfinite(half) else _number(e.value)


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else ""


def _short(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{round(value, 4):.3g}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if math.isfinite(value) else ""
