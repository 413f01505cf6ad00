"""Figures of latent spaces."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.dependencies import library
from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.maps.latent_space import LatentSpace, Places
from blackbox_grad_adapters.style_matching.maps.plane import METHODS, Method, plane

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREY = "0.8"


def place_colours(places: FloatArray) -> FloatArray:
    """`[…, 2]` in the unit square -> RGB `[…, 3]`: the hue is the direction from the middle, the saturation the distance.

    NaN, which has no place, is white.
    """
    hsv_to_rgb = library("matplotlib.colors", "figures").hsv_to_rgb
    across, up = np.moveaxis(places - 0.5, -1, 0)
    hue = np.arctan2(up, across) / (2 * np.pi) % 1.0
    saturation = np.minimum(np.hypot(across, up) / 0.5, 1.0) ** 0.7
    colours = hsv_to_rgb(np.nan_to_num(np.stack([hue, saturation, np.full_like(hue, 0.88)], axis=-1)))
    return np.where(np.isnan(hue)[..., None], 1.0, colours)


def sweeps_together(space: LatentSpace) -> Figure:
    """All sweeps in each plane; points grow with the parameter."""
    figure, panels = _panels(1, len(METHODS), 4.6)
    sizes = np.linspace(3, 40, space.places[METHODS[0]].sweeps.shape[1])
    for panel, (method, places) in zip(panels.flat, space.places.items(), strict=True):
        _plane_of(panel, places, method)
        for k, name in enumerate(space.names):
            (line,) = panel.plot(*places.sweeps[k].T, linewidth=0.8, color=_colour(k), label=name)
            panel.scatter(*places.sweeps[k].T, s=sizes, color=line.get_color(), linewidths=0)
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def sweeps_apart(space: LatentSpace, method: Method) -> Figure:
    """One panel per parameter."""
    count = len(space.names)
    columns = min(4, count)
    figure, panels = _panels(-(-count // columns), columns, 2.6)
    for k, panel in enumerate(panels.flat):
        if k >= count:
            panel.axis("off")
            continue
        places = space.places[method]
        _plane_of(panel, places, space.names[k])
        panel.plot(*places.sweeps[k].T, color="0.4", linewidth=0.6)
        values = np.linspace(0, 1, places.sweeps.shape[1])
        shown = panel.scatter(*places.sweeps[k].T, s=18, c=values, cmap="viridis", vmin=0, vmax=1)
    figure.colorbar(shown, ax=panels, label="normalised", shrink=0.7)
    return figure


def domain(space: LatentSpace) -> Figure:
    """Settings coloured by their place: the plane, and a slice through the settings, for each method."""
    sliced = len(space.pair) == 2
    figure, panels = _panels(len(METHODS), 2 if sliced else 1, 3.6)
    for row, (method, places) in zip(panels, space.places.items(), strict=True):
        row[0].scatter(*places.cloud.T, s=14, c=place_colours(places.cloud), linewidths=0)
        _bare(row[0], f"{method} plane")
        if places.slice is not None:
            across, up = (space.names[k] for k in space.pair)
            row[1].imshow(place_colours(places.slice), origin="lower", extent=(0, 1, 0, 1), interpolation="nearest")
            row[1].set(xlabel=across, ylabel=up, xticks=(0, 1), yticks=(0, 1), title="the others in the middle")
    return figure


def pairs(space: LatentSpace, method: Method) -> Figure:
    """Every parameter against every other, coloured by the place in the plane."""
    colours = place_colours(space.places[method].cloud)
    count = max(1, len(space.names) - 1)
    figure, panels = _panels(count, count, max(1.1, min(2.4, 9.0 / count)))
    for row in range(count):
        for column in range(count):
            panel = panels[row, column]
            if column > row:
                panel.axis("off")
                continue
            second = min(row + 1, len(space.names) - 1)
            panel.scatter(space.p[:, column], space.p[:, second], s=5, c=colours, linewidths=0, rasterized=True)
            panel.set(xlim=(0, 1), ylim=(0, 1), xticks=(), yticks=())
            if row == count - 1:
                panel.set_xlabel(space.names[column], fontsize=8)
            if column == 0:
                panel.set_ylabel(space.names[second], fontsize=8)
    return figure


def effects(embeddings: Mapping[str, ArrayLike], seed: int = 0) -> Figure:
    """The settings of several effects, `[N, D]` each, in one map."""
    figure, panels = _panels(1, len(METHODS), 4.6)
    counts = np.cumsum([len(np.asarray(e)) for e in embeddings.values()])[:-1]
    for panel, method in zip(panels.flat, METHODS, strict=True):
        places = np.split(plane(np.concatenate([np.asarray(e) for e in embeddings.values()]), method, seed), counts)
        for k, (name, part) in enumerate(zip(embeddings, places, strict=True)):
            panel.scatter(*part.T, s=8, color=_colour(k), label=name, linewidths=0)
        _bare(panel, method)
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside right center", frameon=False, markerscale=2)
    return figure


def encoded(figure: Figure, kind: str) -> bytes:
    """The bytes of a file: "png" or "svg". The same figure gives the same bytes."""
    matplotlib = library("matplotlib", "figures")
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "blackbox-grad", "svg.fonttype": "none"}):
        figure.savefig(file, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else {"Software": None})
    return file.getvalue()


def _panels(rows: int, columns: int, inches: float) -> tuple[Figure, Any]:
    """A figure of square panels, `[rows, columns]`."""
    made = library("matplotlib.figure", "figures").Figure(figsize=(inches * columns + 1.2, inches * rows), layout="constrained")
    return made, made.subplots(rows, columns, squeeze=False)


def _plane_of(panel: Any, places: Places, title: str) -> None:
    panel.scatter(*places.cloud.T, s=4, color=_GREY, linewidths=0, rasterized=True)
    _bare(panel, title)


def _bare(panel: Any, title: str) -> None:
    panel.set(title=title, xlim=(0, 1), ylim=(0, 1), xticks=(), yticks=(), aspect="equal")


def _colour(k: int) -> Any:
    return library("matplotlib", "figures").colormaps["tab20" if k >= 10 else "tab10"](k % 20)
