"""The page of the docs: tables and figures from the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import jinja2
import matplotlib
import numpy as np

from blackbox_grad.files import replacing
from blackbox_grad_adapters.estimator_bench import amortised, methods, report
from blackbox_grad_adapters.estimator_bench.progress import COUNTS
from blackbox_grad_adapters.estimator_bench.quality import REPEATS, TRUSTED
from blackbox_grad_adapters.estimator_bench.recordings import LENGTH, SAMPLE_RATE
from blackbox_grad_adapters.estimator_bench.results import Row
from blackbox_grad_adapters.estimator_bench.tasks import EFFECTS, TASKS

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.figure import Figure

_TEMPLATE = Path(__file__).parent / "page.md.jinja"

#: Bins of renders divided by parameters.
_EDGES = np.array([0.03, 0.15, 0.35, 0.75, 1.5, 3.0])


def write(path: Path, rows: Mapping[str, Sequence[Row]]) -> None:
    """Write the page, and its figures into `figures/` beside it."""
    tasks = list(TASKS)
    found = report.by_method(rows["progress"], tasks)
    each = report.by_method(rows["progress"], tasks, per_task=True)
    families = report.by_family(rows["quality"], tasks)
    figures = path.parent / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    _progress_figure(found, figures / "estimators-progress.svg")
    _quality_figure(families, figures / "estimators-quality.svg")
    with replacing(path) as temporary:
        temporary.write_text(_text(found, each, families, rows), "utf-8")


def _text(
    found: Sequence[report.Progress],
    each: Sequence[report.Progress],
    families: Sequence[report.Quality],
    rows: Mapping[str, Sequence[Row]],
) -> str:
    real = {name for name, subject in EFFECTS.items() if not subject.address.startswith("reference:")}
    template = jinja2.Template(_TEMPLATE.read_text("utf-8"), undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    page: str = template.render(
        tasks=len(TASKS),
        real_tasks=sum(task.effect in real for task in TASKS.values()),
        real_effects=len(real),
        length=LENGTH,
        sample_rate=f"{SAMPLE_RATE / 1000:g}",
        rates=_listed(methods.RATES),
        progress=_table(report.progress_lines(found)),
        progress_each=_table(_without(report.progress_lines(each), "step")),
        effects=_table(_effects(found)),
        untrusted=max((q.untrusted for q in families), default=0),
        trusted=f"{TRUSTED:.0%}",
        repeats=REPEATS,
        quality=_table(report.quality_lines(families)),
        trained_effect=amortised.EFFECT,
        learning_rates=_listed(amortised.RATES),
        amortised=_table(report.amortised_lines(rows["amortised"])),
    )
    return page


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)


def _table(lines: report.Lines) -> str:
    headings, body = lines
    if not body:
        return "*Not measured yet.*"
    rule = ["---" if h in ("method", "estimator", "probes", "effect", "best") else "---:" for h in headings]
    code = [[f"`{line[0]}`", *line[1:]] if headings[0] in ("method", "estimator") else line for line in body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, rule, *code))


def _without(lines: report.Lines, heading: str) -> report.Lines:
    headings, body = lines
    index = headings.index(heading)
    return [h for h in headings if h != heading], [line[:index] + line[index + 1 :] for line in body]


def _effects(found: Sequence[report.Progress]) -> report.Lines:
    """A column for each representative rival, and the best method."""
    shown = [p for p in found if p.method in methods.COLUMNS]
    lines = []
    effect_of = [task.effect for task in TASKS.values()]
    for effect in EFFECTS:
        mine = [i for i, name in enumerate(effect_of) if name == effect]
        if not found:
            break
        values = {p.method: float(np.median(p.at(300)[mine])) for p in found}
        best = min(found, key=lambda p: values[p.method])
        line = [effect, *(f"{values[p.method]:.3f}" for p in shown)]
        lines.append([*line, f"`{best.method.label}` {_probes(best.method)} {values[best.method]:.3f}"])
    return ["effect", *(f"`{p.method.label}` {_probes(p.method)}" for p in shown), "best"], lines


def _probes(method: methods.Method) -> str:
    return "" if method.kind == "search" else method.kind


def _progress_figure(found: Sequence[report.Progress], path: Path) -> None:
    figure, (loss, solved) = pyplot.subplots(1, 2, figsize=(11, 4.5), constrained_layout=True)
    counts = np.array(COUNTS)
    grid = np.arange(1, COUNTS[-1] + 1)
    for index, p in enumerate(found):
        style = {"color": f"C{index % 10}", "linestyle": "-" if index < 10 else "--", "linewidth": 1.4}
        label = f"{p.method.label} {_probes(p.method)}"
        loss.plot(counts, np.median(p.losses, axis=0), label=label, **style)
        solved.plot(grid, (p.to(0.2)[:, None] <= grid).mean(axis=0), **style)
        if p.method in methods.COLUMNS[:1] or index == 0:
            loss.fill_between(
                counts, *np.quantile(p.losses, (0.25, 0.75), axis=0), color=style["color"], alpha=0.15, linewidth=0
            )
    loss.set(
        xscale="log",
        yscale="log",
        xlabel="renders",
        ylabel="loss / loss at the start",
        title="Medians; quartiles of the first and of SPSA",
    )
    solved.set(
        xscale="log", xlim=(5, COUNTS[-1]), ylim=(0, 1), xlabel="renders", title="Share of tasks below 20 % of the start"
    )
    if found:
        figure.legend(loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    _save(figure, path)


def _quality_figure(families: Sequence[report.Quality], path: Path) -> None:
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.5), sharey=True, constrained_layout=True)
    names = list(dict.fromkeys(q.method.name for q in families))
    for axis, kind in zip(axes, ("cotangent", "loss"), strict=True):
        for q in families:
            if q.method.kind != kind:
                continue
            style = {"color": f"C{names.index(q.method.name)}", "marker": ".", "linewidth": 1.4}
            inside = [(q.share >= a) & (q.share < b) for a, b in pairwise(_EDGES)]
            points = [(np.median(q.share[i]), np.median(q.cosine[i])) for i in inside if i.any()]
            axis.plot(*np.array(points).T, label=q.method.label if kind == "loss" else None, **style)
        axis.set(xscale="log", ylim=(-0.05, 1.05), xlabel="renders / parameters", title=f"{kind} probes")
    axes[0].set_ylabel("cosine with the trusted gradient")
    if families:
        figure.legend(loc="outside lower center", ncols=3, fontsize=7, frameon=False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary, pyplot.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    pyplot.close(figure)
