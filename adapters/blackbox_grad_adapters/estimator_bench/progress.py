"""Progress: the lowest loss of a method so far, over its renders, with forward renders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blackbox_grad import match
from blackbox_grad_adapters.estimator_bench.methods import Kind
from blackbox_grad_adapters.estimator_bench.results import Row
from blackbox_grad_adapters.estimator_bench.searchers import DFOLS, Nevergrad
from blackbox_grad_adapters.estimator_bench.tasks import Posed, host, layer_for, posed

#: Renders after which the loss is recorded.
COUNTS = (10, 20, 50, 100, 150, 200, 300, 500, 700, 1000)

#: Shares of the starting loss to reach.
LEVELS = (0.5, 0.2, 0.1)


@dataclass(frozen=True)
class Run:
    """One method on one task, from one seed with one step size.

    Attributes:
        losses: the lowest loss after `COUNTS` renders, relative to the starting loss.
        reached: renders until the loss was at `LEVELS` of the starting loss; infinity if it never was.
    """

    losses: tuple[float, ...]
    reached: tuple[float, ...]


class _Meter:
    """The loss of a task, which records its lowest values."""

    def __init__(self, task: Posed, budget: int) -> None:
        self._task, self._budget = task, budget
        self._before = host().renders
        self._lowest = [(0, task.initial)]

    @property
    def renders(self) -> int:
        return host().renders - self._before

    def __call__(self, audio: Tensor, target: Tensor | None = None) -> Tensor:
        """The loss `[B]` of `[B, 1, T]`; it knows its target, which is an argument only for estimators that use it."""
        losses = self._task.loss(audio)
        lowest = float(losses.detach().min())
        if self.renders <= self._budget and lowest < self._lowest[-1][1]:
            self._lowest.append((self.renders, lowest))
        return losses

    def run(self) -> Run:
        relative = [(renders, loss / self._task.initial) for renders, loss in self._lowest]
        losses = tuple(min(loss for renders, loss in relative if renders <= count) for count in COUNTS)
        reached = tuple(min((r for r, loss in relative if loss <= level), default=float("inf")) for level in LEVELS)
        return Run(losses, reached)


def progress(task_name: str, name: str, kind: Kind, rate: float, seed: int, budget: int = COUNTS[-1]) -> Run:
    """Run a method on a task until `budget` renders are made."""
    task = posed(task_name)
    layer = layer_for(task.task.effect, None if kind == "search" else name)
    meter = _Meter(task, budget)
    torch.manual_seed(seed)
    if kind == "search":
        _search(name, task, meter, budget, seed)
        return meter.run()
    point = torch.nn.Parameter(task.start.clone())
    adam = torch.optim.Adam([point], lr=rate)
    while meter.renders < budget:
        adam.zero_grad()
        if kind == "loss":
            layer.loss(task.audio, point, meter, task.target).backward()
        else:
            meter(layer(task.audio, point)).mean().backward()
        assert point.grad is not None
        point.grad.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)  # if the loss is not finite, momentum continues
        adam.step()
        point.data.clamp_(0.0, 1.0)
    return meter.run()


class _Overheard:
    """The host, with a meter that receives all of its renders."""

    def __init__(self, meter: _Meter) -> None:
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(host(), name)

    def render_batch(self, *arguments: Any) -> tuple[Any, Any]:
        audio, finite = host().render_batch(*arguments)
        with torch.no_grad():
            for item in torch.from_numpy(audio[finite]):
                self._meter(item.reshape(1, *item.shape[-2:]))
        return audio, finite


def _search(name: str, task: Posed, meter: _Meter, budget: int, seed: int) -> None:
    """`match`, with its own strategy or with another optimiser as searcher, which begins at the task's start.

    `match` and DFO-LS work with residuals, so they use the loss of `match` in place of auraloss. The meter uses the task's loss.
    """
    audio, target, start = task.audio[0].numpy(), task.target[0].numpy(), task.start[0].numpy()
    residuals = "l1" if task.task.loss == "l1" else "mrstft"
    searchers: dict[str, tuple[Any, Any]] = {
        "match": (None, residuals),
        "DFO-LS": (lambda space, seed: DFOLS(space, seed, start, budget), residuals),
    }
    other = (lambda space, seed: Nevergrad(space, seed, start, name, budget)), lambda y, _: task.loss(y)
    searcher, loss = searchers.get(name, other)
    spec, host = layer_for(task.task.effect).spec, _Overheard(meter)
    match(spec, audio, target, loss=loss, renders=budget, seed=seed, host=host, searcher=searcher)


def measure(task: str, name: str, kind: Kind, rate: float, seed: int) -> list[Row]:
    """A run as a row of results."""
    run = progress(task, name, kind, rate, seed)
    losses = {f"loss_{count}": float(loss) for count, loss in zip(COUNTS, run.losses, strict=True)}
    reached = {f"to_{level:g}": renders for level, renders in zip(LEVELS, run.reached, strict=True)}
    return [{"task": task, "method": name, "kind": kind, "rate": rate, "seed": seed} | losses | reached]
