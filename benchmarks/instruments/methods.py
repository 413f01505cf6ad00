"""The methods at equal renders: `match` as it is, and other searchers in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.instruments.tasks import INSTRUMENTS, NOTES, RATE, Task
from blackbox_grad import Host, Match, match
from blackbox_grad.parameters import ParameterSpace
from blackbox_grad.search import Sampling, Searcher
from blackbox_grad_adapters.estimator_bench.searchers import DFOLS, Nevergrad

#: Renders of each run, the presets' and that of the default patch among them.
RENDERS = 1000

MATCH, PRESET = "match", "nearest preset"

#: All begin at the best of the default patch and the presets, which is the default of their space.
SEARCHERS: dict[str, Callable[[ParameterSpace, int], Searcher] | None] = {
    MATCH: None,
    "CMA": lambda space, seed: Nevergrad(space, seed, space.snap(space.defaults), "CMA", RENDERS),
    "DFO-LS": lambda space, seed: DFOLS(space, seed, space.snap(space.defaults), RENDERS),
    "random": Sampling,
}

#: Renders at which the lowest loss so far is kept.
KEPT = (100, 250, 500)


def run(task: Task, method: str, seed: int, host: Host) -> dict[str, Any]:
    """One row: the losses, as they are; the lowest one's course; what the best preset had."""
    found = found_by(task, method, seed, host)
    first = [p.best for p in found.history if p.phase in ("start", "starts")]
    row: dict[str, Any] = {"task": task.name, "method": method, "seed": seed, "default": found.loss_start}
    row |= {"preset": min([found.history[0].best, *first])}
    row |= {f"after {renders}": min(p.best for p in found.history if p.renders <= renders) for renders in KEPT}
    return row | {"loss": found.loss, "renders": found.renders, "seconds": round(found.seconds, 1)}


def found_by(task: Task, method: str, seed: int, host: Host) -> Match:
    return match(
        INSTRUMENTS[task.instrument].spec,
        NOTES,
        task.target,
        RATE,
        renders=RENDERS,
        starts=task.starts,
        searcher=SEARCHERS[method],
        seed=seed,
        excerpt=None,
        host=host,
    )
