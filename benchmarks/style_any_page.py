"""The page of what `style_any.py` measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

#: One item: its name, and method -> judge -> distance to the truth; "dry" is a method.
Row: TypeAlias = dict[str, Any]

OURS, RIVAL = "search 300", "CMA-ES 4096"
METHODS = (OURS, "CMA-ES 300", "random 300", "nearest of 4096", RIVAL)
JUDGES = ("spectrum", "dynamics", "time", "mrstft")

#: A method is shown if it has answers for this part of the items.
_SHOWN = 0.5

#: Resamplings of the items for a confidence interval.
_RESAMPLED = 4000


def page(rows: Sequence[Row], targets: dict[str, str]) -> str:
    """Markdown."""
    counts = {method: sum(method in row["judged"] for row in rows) for method in METHODS}
    both = [row for row in rows if OURS in row["judged"] and RIVAL in row["judged"]]
    lines = [
        "# Style matching of any effect",
        "",
        "This page is generated: `make style-any ARGS='--page docs/measured/style-any.md'`. How near does",
        "[a search](../how-to/style-matching/any-effect.md) come to the truth, where nothing was trained?",
        "",
        "Every item hides settings of an effect. The reference is one part of a recording of the evaluation corpora, through the",
        "effect. The input is another part, of 5.5 s. The truth is the input at the hidden settings, which no method sees. Hidden",
        "settings are random, and change the spectrum by 1 dB or more. All methods minimise the same distance. The prior of the",
        "search was learnt without these effects.",
        "",
        "*CMA-ES* is ST-ITO's way: all parameters from a random start, with a population of 32 for 4,096 renders (it ends earlier",
        "where it has converged), and with the recommended population for 300. The others take the nearest of random settings.",
        "",
        "## All items",
        "",
        "Distance to the truth divided by that of the dry input: the median, and its 95 % interval (bootstrap over items). Below 1",
        "is nearer than doing nothing.",
        "",
        "| | items | " + " | ".join(JUDGES) + " |",
        "|---|---:|" + "---:|" * len(JUDGES),
    ]
    shown = [method for method in METHODS if counts[method] >= _SHOWN * len(rows)]
    for method in shown:
        cells = [_interval(_ratios(rows, method, judge)) for judge in JUDGES]
        lines.append(f"| {_name(method)} | {counts[method]} | " + " | ".join(cells) + " |")
    if both:
        lines += ["", *_compared(both)]
    lines += ["", "## By effect", "", "Spectrum, the median of the effect's items.", ""]
    lines += ["| | items | " + " | ".join(map(_name, shown)) + " |", "|---|---:|" + "---:|" * len(shown)]
    for target in targets:
        own = [row for row in rows if row["item"].partition("/")[0] == target]
        if own:
            cells = [_median(_ratios(own, method, "spectrum")) for method in shown]
            lines.append(f"| {target} | {len(own)} | " + " | ".join(cells) + " |")
    lines += ["", "The last three are chains; *Faust wah* is a program in `benchmarks/style_any.py`.", ""]
    return "\n".join(lines)


def _compared(rows: Sequence[Row]) -> list[str]:
    """Ours with 300 renders beside CMA-ES with 4,096, on the items that both have."""
    ratios = np.array([row["judged"][OURS]["spectrum"] / max(row["judged"][RIVAL]["spectrum"], 1e-9) for row in rows])
    ours, rival = (float(np.median(_ratios(rows, method, "spectrum"))) for method in (OURS, RIVAL))
    wins = int((ratios < 1).sum())
    return [
        f"On the {len(rows)} items that both have, the search of 300 renders leaves {ours:.2f} of the dry input's spectral",
        f"distance in the median, and CMA-ES with 4,096 renders {rival:.2f}. The search is nearer to the truth on {wins} of them;",
        f"its distance is {_interval(ratios)} of CMA-ES's in the median of the items.",
    ]


def _ratios(rows: Sequence[Row], method: str, judge: str) -> list[float]:
    return [row["judged"][method][judge] / max(row["judged"]["dry"][judge], 1e-9) for row in rows if method in row["judged"]]


def _median(ratios: Sequence[float]) -> str:
    return f"{np.median(ratios):.2f}" if len(ratios) else "–"


def _interval(ratios: Sequence[float] | Any) -> str:
    found = np.asarray(ratios)
    drawn = np.random.default_rng(0).integers(len(found), size=(_RESAMPLED, len(found)))
    low, high = np.quantile(np.median(found[drawn], axis=1), [0.025, 0.975])
    return f"{np.median(found):.2f} ({low:.2f} to {high:.2f})"


def _name(method: str) -> str:
    return f"**{method}**" if method == OURS else method
