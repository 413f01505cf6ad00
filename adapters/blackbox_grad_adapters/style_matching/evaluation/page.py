"""The page of the docs about an evaluation: tables, figures, and all numbers as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from blackbox_grad.files import replacing
from blackbox_grad.reports import render_page
from blackbox_grad_adapters.style_matching.data.pairs import LENGTH
from blackbox_grad_adapters.style_matching.effect_path import SAMPLE_RATE
from blackbox_grad_adapters.style_matching.evaluation import tables
from blackbox_grad_adapters.style_matching.evaluation.results import METHODS
from blackbox_grad_adapters.style_matching.evaluation.summary import Summary
from blackbox_grad_adapters.style_matching.evaluation.tables import ORIGINAL, Lines, methods_of, ordered
from blackbox_grad_adapters.style_matching.measures.audibility import JUST_AUDIBLE
from blackbox_grad_adapters.style_matching.measures.metrics import JUDGED, METRICS

_MARKS = {"random": "x", "middle": "s", "nearest": "^", "controller": "o"}


def write(path: Path, found: Sequence[Summary]) -> None:
    """Write the page, its numbers as CSV beside it, and figures into `figures/`. Raises `AudioError` if they cannot be written."""
    figures = path.parent / "figures"
    figures.mkdir(exist_ok=True)
    by_kind = {kind: [s for s in found if s.kind == kind] for kind in ("speech", "music")}
    by_kind = {kind: of_kind for kind, of_kind in by_kind.items() if of_kind}
    _save(_ratios_figure(by_kind), figures / f"{path.stem}-ratios.svg")
    _save(_judges_figure(by_kind), figures / f"{path.stem}-judges.svg")
    _save(_metrics_figure(by_kind), figures / f"{path.stem}-metrics.svg")
    _write(path.with_suffix(".csv"), _numbers(found))
    _write(path, _text(path.stem, by_kind))


def _text(name: str, by_kind: Mapping[str, Sequence[Summary]]) -> str:
    kinds = [
        {
            "title": kind.capitalize(),
            "ratios": _markdown(tables.ratios(of_kind)),
            "judges": {m: _markdown(tables.judges(of_kind, m)) for m in tables.models_of(of_kind)},
            "means": _markdown(tables.means(of_kind)),
            "against_dry": _markdown(tables.against_dry(of_kind)),
            "explained": _markdown(tables.explained(of_kind)),
        }
        for kind, of_kind in by_kind.items()
    ]
    measured = {s.method for of_kind in by_kind.values() for s in of_kind}
    return render_page(
        "style-evaluation.md.jinja",
        package="blackbox_grad_adapters.style_matching",
        name=name,
        seconds=f"{LENGTH / SAMPLE_RATE:.1f}",
        methods={name: about for name, about in METHODS.items() if name in measured},
        just_audible=JUST_AUDIBLE,
        metrics=METRICS.values(),
        kinds=kinds,
    )


def _markdown(lines: Lines) -> str:
    headings, body = lines
    rule = ["---" if heading.startswith(("effect", "mean", "found", "lives", "slope")) else "---:" for heading in headings]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |" for cells in (headings, rule, *body))


def _numbers(found: Sequence[Summary]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["effect", "kind", "method", "examples", "metric", "mean", "low", "high", "ratio", "ratio_low", "ratio_high"]
    )
    for s in found:
        for name, mean in s.means.items():
            numbers = [*mean, *s.ratios.get(name, ())]
            writer.writerow(
                [s.effect, s.kind, s.method, s.examples, name, *("" if np.isnan(v) else f"{v:.4g}" for v in numbers)]
            )
    return text.getvalue()


def _ratios_figure(by_kind: Mapping[str, Sequence[Summary]]) -> Figure:
    """One row per effect, and a mark for each method with its interval."""
    rows = max(len(ordered(of_kind)) for of_kind in by_kind.values())
    figure = Figure(figsize=(5.5 * len(by_kind), 1.8 + 0.42 * rows), layout="constrained")
    axes = figure.subplots(1, len(by_kind), squeeze=False)[0]
    for axis, (kind, of_kind) in zip(axes, by_kind.items(), strict=True):
        by_effect = ordered(of_kind)
        methods = [m for m in methods_of(of_kind) if m not in ("dry", "truth")]
        for i, method in enumerate(methods):
            there = [(n, by[method].ratios["mrstft"]) for n, by in enumerate(by_effect.values()) if method in by]
            places, intervals = np.array([n for n, _ in there]), np.array([e for _, e in there]).reshape(-1, 3).T
            axis.errorbar(
                intervals[0],
                places + 0.14 * (i - (len(methods) - 1) / 2),
                xerr=np.abs(intervals[1:] - intervals[0]),
                label=method,
                **_style(methods, method, linestyle="none", elinewidth=1),
            )
        for corpus, theirs in ORIGINAL[kind].items():
            points = [(theirs[name], n) for n, name in enumerate(by_effect) if name in theirs]
            axis.plot(
                *np.array(points).reshape(-1, 2).T, "|", markersize=14, color="black", alpha=0.5, label=f"original, {corpus}"
            )
        axis.axvline(1.0, color="grey", linewidth=1)
        axis.set(yticks=range(len(by_effect)), yticklabels=by_effect, title=kind, xlabel="MRSTFT ÷ that of the dry input")
        axis.set_xlim(left=0)
        axis.invert_yaxis()
        axis.grid(axis="x", alpha=0.3)
    handles = {text: handle for axis in axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return figure


def _judges_figure(by_kind: Mapping[str, Sequence[Summary]]) -> Figure:
    """One row per effect, and a mark for each judge of the controller, with its interval."""
    rows = max(len(ordered(of_kind)) for of_kind in by_kind.values())
    figure = Figure(figsize=(5.5 * len(by_kind), 1.8 + 0.42 * rows), layout="constrained")
    for axis, (kind, of_kind) in zip(figure.subplots(1, len(by_kind), squeeze=False)[0], by_kind.items(), strict=True):
        by_effect = {name: by["controller"] for name, by in ordered(of_kind).items() if "controller" in by}
        for i, judge in enumerate(JUDGED):
            there = [(n, s.ratios[judge]) for n, s in enumerate(by_effect.values()) if np.isfinite(s.ratios[judge].value)]
            places, intervals = np.array([n for n, _ in there]), np.array([e for _, e in there]).reshape(-1, 3).T
            spread = np.abs(intervals[1:] - intervals[0])
            axis.errorbar(intervals[0], places + 0.12 * (i - 2), xerr=spread, fmt="o", markersize=4, label=METRICS[judge].title)
        axis.axvline(1.0, color="grey", linewidth=1)
        axis.set(yticks=range(len(by_effect)), yticklabels=by_effect, title=kind, xlabel="distance ÷ that of the dry input")
        axis.set_xlim(left=0)
        axis.invert_yaxis()
        axis.grid(axis="x", alpha=0.3)
        handles = axis.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    return figure


def _metrics_figure(by_kind: Mapping[str, Sequence[Summary]]) -> Figure:
    """A panel for each metric: one row per method, the mean over effects for each kind of recordings."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = list(figure.subplots(-(-len(METRICS) // 4), 4, sharey=True).flat)
    for axis in axes[len(METRICS) :]:
        axis.set_visible(False)
    for axis, (name, metric) in zip(axes[: len(METRICS)], METRICS.items(), strict=True):
        for kind, of_kind in by_kind.items():
            methods = tables.everywhere(of_kind)
            values = [np.mean([s.means[name].value for s in of_method]) for of_method in methods.values()]
            axis.plot(values, list(methods), "o", alpha=0.8, label=kind)
        better = "smaller" if metric.error else "larger"
        axis.set_title(f"{metric.title}{', ' + metric.unit if metric.unit else ''} ({better} is better)", fontsize=9)
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=8)
    axes[0].invert_yaxis()
    axes[0].legend(fontsize=8)
    return figure


def _style(methods: Sequence[str], method: str, **more: Any) -> dict[str, Any]:
    return {"color": f"C{methods.index(method)}", "marker": _MARKS.get(method, "D"), "markersize": 4, **more}


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary, matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")
