"""A match in a notebook: what a cell shows, and its figure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox_grad.dependencies import library
from blackbox_grad.errors import MissingDependencyError
from blackbox_grad.markup import heading, player, table
from blackbox_grad.matching import sure_words as sure_words
from blackbox_grad.matching import wording
from blackbox_grad.reports import flac

if TYPE_CHECKING:
    from blackbox_grad.matching.result import Match

#: Seconds of each recording in a cell, which a notebook stores in its file.
MOST_SECONDS = 10.0


def html(found: Match) -> str:
    """The distances, the settings, and players of the three recordings."""
    rows = [[what, wording.number(a), wording.number(b), wording.remain(a, b)] for what, a, b in wording.distances(found)]
    sure = sure_words.could_be(found)
    settings = [
        [row["name"], row["native"], *([sure.get(row["name"], "")] if sure else []), row["default"], f"{row['normalised']:.4f}"]
        for row in found.settings()
        if row["free"]
    ]
    columns = ["parameter", "found", *(["could be"] if sure else []), "default", "normalised"]
    return "".join(
        (
            heading(f"Match: {found.info.name}", found.spec.address),
            table([f"distance ({found.loss_name}; 0 is equal)", "at the defaults", "found", "remain"], rows),
            table(columns, settings),
            heading("", sure_words.sentence(found), "") if sure else "",
            heading("", wording.held(found), f"{found.renders} renders in {found.seconds:.1f} s. {wording.ended(found)}"),
            *players(found),
        )
    )


def players(found: Match) -> list[str]:
    """The input, the target and the match, equally loud as in the recordings; none if soundfile is not installed."""
    length = round(MOST_SECONDS * found.sample_rate)
    recordings = {wording.first_recording(found)[0].lower(): found.input, "target": found.target, "match": found.audio}
    gain = min(1.0, 0.999 / max(1e-9, *(float(np.abs(audio).max(initial=0.0)) for audio in recordings.values())))
    try:
        return [
            player(name, flac(audio[:, :length] * np.float32(gain), found.sample_rate)) for name, audio in recordings.items()
        ]
    except MissingDependencyError:
        return []


def figure(found: Match) -> Any:
    """The distance over renders, and the settings beside their defaults, as a figure of matplotlib."""
    library("matplotlib", "the plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self) -> bytes:
            """What a notebook shows, even where pyplot was never imported."""
            file = io.BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    free = [row for row in found.settings() if row["free"]]
    defaults = found.info.parameters.defaults
    made = Shown(figsize=(9.0, max(3.0, 1.0 + 0.3 * len(free))), layout="constrained")
    FigureCanvasAgg(made)  # so that it draws without pyplot
    curve, bars = made.subplots(1, 2)
    renders = [step.renders for step in found.history]
    curve.plot(renders, [step.loss for step in found.history], alpha=0.4, label="each step")
    curve.plot(renders, [step.best for step in found.history], label="best so far")
    curve.set(xlabel="renders", ylabel=f"distance ({found.loss_name})", ylim=(0.0, None))
    curve.legend()
    places = range(len(free))
    bars.barh(places, [row["normalised"] for row in free], label="found")
    bars.plot(defaults, places, "k|", markersize=12, label="default")
    bars.set(xlim=(0.0, 1.0), xlabel="normalised", yticks=list(places))
    bars.set_yticklabels([f"{row['name']}: {row['native']}" for row in free])
    bars.invert_yaxis()
    bars.legend()
    return made
