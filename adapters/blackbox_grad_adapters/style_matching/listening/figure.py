"""The figure of a listening test: means or shares, with their confidence."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from blackbox_grad.dependencies import library
from blackbox_grad.files import replacing
from blackbox_grad_adapters.style_matching.listening.choices import Count
from blackbox_grad_adapters.style_matching.listening.ratings import Mean

#: The five intervals of the scale, from below (ITU-R BS.1534-3, 5.4).
GRADES = ("Bad", "Poor", "Fair", "Good", "Excellent")

SUFFIXES = (".png", ".svg", ".pdf")


class _Bar(NamedTuple):
    name: str
    value: float
    low: float
    high: float


def draw_ratings(path: Path, means: Sequence[Mean], title: str) -> None:
    """A panel for each effect, a point for each system. Raises `AudioError` if the path cannot be written."""
    panels = {mean.effect: [_Bar(m.system, m.value, m.low, m.high) for m in means if m.effect == mean.effect] for mean in means}

    def scale(axes: Any) -> None:
        axes.set(xlim=(0, 100), xticks=range(0, 101, 20))
        for i, grade in enumerate(GRADES):
            axes.axvspan(20 * i, 20 * i + 20, color="0.5", alpha=0.06 if i % 2 else 0.12, linewidth=0)
            axes.text(20 * i + 10, 1.0, grade, transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=8)

    _draw(path, panels, title, scale)


def draw_choices(path: Path, counts: Sequence[Count], title: str, design: str) -> None:
    """A panel for each effect, a point for each pair. Raises `AudioError` if the path cannot be written."""
    word = "over" if design == "ab" else "or"
    panels = {
        count.effect: [
            _Bar(f"{c.first} {word} {c.second}", 100 * c.share, 100 * c.low, 100 * c.high)
            for c in counts
            if c.effect == count.effect
        ]
        for count in counts
    }

    def scale(axes: Any) -> None:
        axes.set(xlim=(0, 100), xticks=range(0, 101, 25))
        axes.axvline(50, color="0.5", linestyle=":")
        text = "% chosen" if design == "ab" else "% recognised"
        axes.text(1.0, 1.0, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=8)

    _draw(path, panels, title, scale)


def _draw(path: Path, panels: dict[str, list[_Bar]], title: str, scale: Any) -> None:
    library("matplotlib", "the figure of a listening test").use("Agg")
    from matplotlib import pyplot

    heights = [len(bars) for bars in panels.values()]
    height = 0.32 * sum(heights) + 0.75 * len(heights) + 0.5
    figure, rows = pyplot.subplots(
        len(panels), 1, figsize=(7.2, height), squeeze=False, layout="constrained", height_ratios=[n + 0.6 for n in heights]
    )
    for axes, (effect, bars) in zip(rows[:, 0], panels.items(), strict=True):
        scale(axes)
        places = range(len(bars))[::-1]
        axes.hlines(places, [bar.low for bar in bars], [bar.high for bar in bars], color="C0", linewidth=2)
        axes.plot([bar.value for bar in bars], places, "o", color="C0", markersize=5)
        axes.set(yticks=list(places), ylim=(-0.6, len(bars) - 0.4))
        axes.set_yticklabels([_plain(bar.name) for bar in bars])
        axes.set_title(
            _plain(effect) if effect else ("All effects" if len(panels) > 1 else ""), loc="left", fontsize=10, pad=14
        )
    figure.suptitle(_plain(title), fontsize=11)
    file = io.BytesIO()
    kind = path.suffix.lower()[1:]
    with pyplot.rc_context({"svg.fonttype": "none"}):  # text stays text
        figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    pyplot.close(figure)
    with replacing(path) as temporary:
        temporary.write_bytes(file.getvalue())


def _plain(text: str) -> str:
    """A name is no formula."""
    return text.replace("$", r"\$")
