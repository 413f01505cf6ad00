"""Quality: the cosine between an estimate at the start of a task and a trusted gradient, against renders."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from blackbox_grad.effects import backend as find_backend
from blackbox_grad_adapters.estimator_bench.methods import Kind
from blackbox_grad_adapters.estimator_bench.recordings import SAMPLE_RATE
from blackbox_grad_adapters.estimator_bench.results import Row
from blackbox_grad_adapters.estimator_bench.tasks import EFFECTS, host, layer_for, posed

#: Estimates per quartile.
REPEATS = 5

#: Steps of the central differences for a trusted gradient.
_STEPS = (8e-3, 4e-3, 2e-3, 1e-3, 5e-4)

#: The search for a trusted gradient ends at a smaller error than this.
_GOOD = 1e-3

#: A gradient with a larger relative error is not trusted.
TRUSTED = 0.1


def counts(parameters: int) -> list[int]:
    """Renders beyond the forward one at which families of estimators are measured: 1, 2, 4, 8, P/2, P and 2·P."""
    return sorted({1, 2, 4, 8, half(parameters), parameters, 2 * parameters})


def half(parameters: int) -> int:
    """P/2, and at least one render."""
    return max(1, math.ceil(parameters / 2))


def measure(task: str, family: str, kind: Kind) -> list[Row]:
    """A row for each number of renders that the family offers. If no gradient can be trusted, one row with 0 renders.

    Args:
        task: its name.
        family: an estimator with `{m}` in place of its renders, or `{pairs}` in place of half as many; or a single estimator.
        kind: what it probes.
    """
    trusted, error = trusted_gradient(task)
    if not error <= TRUSTED:
        unknown = {"low": math.nan, "cosine": math.nan, "high": math.nan, "error": error}
        return [{"task": task, "method": family, "kind": kind, "renders": 0.0, "parameters": len(trusted)} | unknown]
    rows = []
    for m in counts(len(trusted)) if "{" in family else [0]:
        if "{pairs}" in family and m % 2:
            continue
        name = family.format(m=m, pairs=m // 2)
        found = [gradient(task, name, kind, seed) for seed in range(REPEATS)]
        cosines = [float(g @ trusted / max(float(np.linalg.norm(g) * np.linalg.norm(trusted)), 1e-30)) for g, _ in found]
        low, median, high = np.quantile(cosines, (0.25, 0.5, 0.75))
        renders = float(np.mean([count for _, count in found]))
        measured = {"low": float(low), "cosine": float(median), "high": float(high), "error": error}
        rows.append({"task": task, "method": family, "kind": kind, "renders": renders, "parameters": len(trusted)} | measured)
    return rows


def gradient(task_name: str, name: str, kind: Kind, seed: int = 0) -> tuple[NDArray[np.float64], int]:
    """The estimated gradient of the loss at the start, `[P]`, and its renders beyond the forward one."""
    task = posed(task_name)
    layer = layer_for(task.task.effect, name)
    torch.manual_seed(seed)
    before = host().renders
    point = task.start.clone().requires_grad_()
    loss = layer.loss(task.audio, point, task.loss) if kind == "loss" else task.loss(layer(task.audio, point)).mean()
    loss.backward()
    assert point.grad is not None
    return point.grad[0].numpy(), host().renders - before - 1


@cache
def trusted_gradient(task_name: str) -> tuple[NDArray[np.float64], float]:
    """The gradient of the loss at the start, `[P]`, and its relative error; for a reference effect, exact.

    Central differences at a step and at half of it give an error bar, and together a better value (L. F. Richardson, 1911). The
    pair that agrees best is taken over all steps, and over both kinds of probes, as their gradients at the point are the same.
    """
    task = posed(task_name)
    backend, _, locator = EFFECTS[task.task.effect].address.partition(":")
    if backend == "reference":
        point = task.start.clone().requires_grad_()
        effect = find_backend(backend).differentiable(locator, SAMPLE_RATE)  # type: ignore[attr-defined]
        (exact,) = torch.autograd.grad(task.loss(effect(task.audio, point)).sum(), point)
        return exact[0].numpy(), 0.0
    return differences(task_name)


def differences(task_name: str) -> tuple[NDArray[np.float64], float]:
    """`trusted_gradient` from differences alone."""
    best, smallest = np.zeros(posed(task_name).start.shape[1]), math.inf
    kinds: tuple[Kind, ...] = ("cotangent", "loss")
    for kind in kinds:
        at = (gradient(task_name, f"finite-difference:step={step}", kind)[0] for step in _STEPS)
        for coarse, fine in pairwise(at):
            error = float(np.linalg.norm(fine - coarse)) / max(float(np.linalg.norm(fine)), 1e-30)
            if error < smallest:
                best, smallest = (4 * fine - coarse) / 3, error
            if smallest < _GOOD:
                return best, smallest
    return best, smallest
