"""How `style match` searches where there are no trained weights: which way it takes, its first words, and its progress."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import typer

from blackbox_grad import Host
from blackbox_grad.cli import Outputs, Shown, err, progress_bar
from blackbox_grad.effects import split_chain
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad_adapters.style_matching.matching.result import StyleMatch
from blackbox_grad_adapters.style_matching.matching.search import RENDERS, Order, SearchProgress, StyleSearch
from blackbox_grad_adapters.style_matching.networks import shipped


def check_way(effect: str | None, model: str | None, refine: int, renders: int | None, order: Order) -> str:
    """The effect to search, or nothing if a trained network sets it.

    Raises:
        BadParameter: the options are for different ways.
    """
    asked = renders is not None or order == "free"
    if model is not None and asked:
        raise typer.BadParameter("--model is a trained network, and --renders and --order are for a search; leave one out")
    if asked and refine:
        raise typer.BadParameter("--refine is for a trained network, and --renders and --order for a search; leave one out")
    if order == "free" and effect is not None and len(split_chain(effect)) < 2:
        raise typer.BadParameter(f"--order free is for a chain, and {effect!r} is one effect; write 'FIRST | SECOND'")
    if model is not None or effect is None or (not asked and shipped.known(effect)):
        if model is not None or effect is not None:
            _check_model("EFFECT" if model is None else "--model", model or effect or "")
        return ""
    if refine:
        raise typer.BadParameter(
            f"--refine: there are no trained weights for {effect!r}; write --renders {refine} for a search, or train some "
            f"(blackbox-grad style train {effect})"
        )
    return shipped.full_address(effect)


def _check_model(option: str, model: str) -> None:
    """Raise `BadParameter` if no trained controller is where an option says."""
    place = Path(model)
    if place.is_dir() and not (place / shipped.CONTROLLER).exists():
        raise typer.BadParameter(
            f"{option}: the folder {model!r} holds no {shipped.CONTROLLER}, which `style train` writes at its end; name a run's "
            "folder. The command that began a run continues it"
        )
    if place.exists():
        return
    try:
        shipped.known(model)
    except BlackboxGradError as error:
        raise typer.BadParameter(f"{option}: no file, folder or trained effect is called {model!r}: {error}") from error


class Searching:
    """A search, and what the terminal shows of it.

    Args:
        effect: the address.
        host: where to render.
        order: of a chain.
        outputs: checked before the search.
    """

    def __init__(self, effect: str, host: Host, order: Order, outputs: Outputs) -> None:
        self._search = StyleSearch(effect, host, order=order)
        if order == "given":  # the preset of another chain has other files
            outputs.check_preset(self._search.path.spec)

    def match(self, *recordings: Any, renders: int | None, **options: Any) -> StyleMatch:
        """As `StyleSearch.match`, with a first line and progress on stderr."""
        count = RENDERS if renders is None else renders
        err().print(self._begun(count, asked=renders is not None), soft_wrap=True)
        with progress_bar() as show:
            return self._search.match(*recordings, renders=count, on_progress=lambda p: show(_shown(p)), **options)

    def _begun(self, renders: int, asked: bool) -> str:
        path, free = self._search.path, self._search.order == "free"
        why = "as --renders asks" if asked else "as there are no trained weights for it"
        what = f"{len(path.names)} settings" + (", and which parts in which order," if free and path.spec.parts else "")
        line = f"{path.effect.info.name} ({path.spec.address}): a search for {what} with {renders} renders, {why}"
        return f"{line}. {self._search.left_out}" if self._search.left_out else line


def _shown(p: SearchProgress) -> Shown:
    best = f"distance {p.distance:.3g}" if math.isfinite(p.distance) else "nothing audible yet"
    left = f"{p.seconds_left:.0f} s left" if p.renders < p.budget else "done"
    return Shown(" | ".join(p.chain), p.renders / p.budget, f"{p.renders} of {p.budget} renders, {best}, {left}")
