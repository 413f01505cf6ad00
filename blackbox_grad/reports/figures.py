"""The report's figures: spectrograms of recordings as pictures, the loss over renders as coordinates."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox_grad.effects.audio import Audio
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.reports.match_wording import phase

if TYPE_CHECKING:
    from blackbox_grad.matching.result import Progress

#: Frequency bands of a spectrogram, and its most frames.
BANDS, FRAMES = 160, 720

#: Range of the spectrograms, in dB below the loudest band of all recordings, and range of the differences, ± dB.
FLOOR, SPREAD = -80.0, 24.0

LOWEST = 40.0  # Hz

_WINDOW = 2048


def png(values: FloatArray, low: float, high: float, colours: str) -> str:
    """`values: [rows, columns]`, the first row at the bottom -> a PNG of 256 colours as a data URI."""
    from PIL import Image

    levels = ((values[::-1] - low) / (high - low) * 256).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(levels)
    picture.putpalette(_colour_map(colours)(np.arange(256), bytes=True)[:, :3].tobytes())
    file = io.BytesIO()
    picture.save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def gradient(colours: str, count: int = 9) -> str:
    """A colour map as stops of a CSS gradient."""
    return ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b, _ in 255 * _colour_map(colours)(np.linspace(0, 1, count)))


def _colour_map(name: str) -> Any:
    """One of Matplotlib's, or `difference`: dark where two recordings agree, blue and orange where one has more."""
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap

    if name == "difference":
        return LinearSegmentedColormap.from_list(name, ["#bfe3ff", "#3b82f6", "#0d1117", "#f97316", "#ffe2b8"])
    return matplotlib.colormaps[name]


def band_edges(sample_rate: float) -> FloatArray:
    """`[BANDS + 1]` Hz, geometric from `LOWEST` to the Nyquist frequency or 20 kHz."""
    return np.geomspace(LOWEST, min(20000.0, sample_rate / 2), BANDS + 1)


def spectrogram(audio: Audio, sample_rate: float, samples: int) -> FloatArray:
    """Band powers in dB, `[BANDS, frames]`, of `audio: [C, T]` zero-padded to `samples`; channels are averaged in power.

    Recordings of one sample rate padded to one length give arrays of one shape.
    """
    length = max(samples, _WINDOW)
    hop = max(_WINDOW // 4, math.ceil((length - _WINDOW) / (FRAMES - 1)))
    padded = np.pad(audio[:, :length], ((0, 0), (0, max(0, length - audio.shape[1]))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)[:, ::hop]
    window = np.hanning(_WINDOW)
    powers = np.zeros((frames.shape[1], _WINDOW // 2 + 1))
    for channel in frames:
        powers += np.abs(np.fft.rfft(channel * window)) ** 2
    powers *= (2.0 / window.sum()) ** 2 / audio.shape[0]
    # a band is the mean density between its edges, with fractions of bins: narrow low bands interpolate
    total = np.concatenate([np.zeros((len(powers), 1)), np.cumsum(powers, axis=1)], axis=1)
    edges = band_edges(sample_rate) * _WINDOW / sample_rate + 0.5
    at_edges = np.array([np.interp(edges, np.arange(total.shape[1]), row) for row in total])
    bands = np.diff(at_edges, axis=1) / np.diff(edges)
    return np.asarray(10.0 * np.log10(np.maximum(bands.T, 1e-14)))


@dataclass(frozen=True)
class Tick:
    """A mark of an axis: its place, as a part of the length from the top or left, and its text."""

    place: float
    text: str


def frequency_ticks(sample_rate: float) -> list[Tick]:
    """Marks of the frequency axis of a spectrogram."""
    edges = band_edges(sample_rate)
    span = math.log(edges[-1] / edges[0])
    wanted = {100.0: "100 Hz", 1000.0: "1 kHz", 10000.0: "10 kHz"}
    return [Tick(1 - math.log(f / edges[0]) / span, text) for f, text in wanted.items() if edges[0] < f < edges[-1]]


def time_ticks(seconds: float) -> list[Tick]:
    """Marks of a time axis."""
    return [Tick(t / seconds, f"{t:g} s") for t in _round_steps(0.0, seconds, 6) if t < 0.97 * seconds]


def _round_steps(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most about `most`."""
    raw = max(high - low, 1e-12) / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class LossCurve:
    """The loss over renders, in the coordinates of a drawing of `width` by `height`.

    Attributes:
        best, loss: points of a polyline, in SVG notation.
        start: height of the loss at the default settings.
        x_ticks, y_ticks: places in the drawing's units.
        phases: name, left edge and width of each phase.
        points: `[x, y, renders, loss, best]` of each step, shown under the pointer.
    """

    width: int
    height: int
    best: str
    loss: str
    start: float
    start_value: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    phases: list[tuple[str, float, float]]
    points: list[list[float]]
    logarithmic: bool


def loss_curve(history: Sequence[Progress], width: int = 860, height: int = 260) -> LossCurve | None:
    """None if there is nothing to draw. The axis is logarithmic if the loss falls by more than 5 times."""
    steps = [h for h in history if math.isfinite(h.best) and math.isfinite(h.start)]
    if len(steps) < 2:
        return None
    right = float(steps[-1].renders)
    start = steps[0].start
    low = min(h.best for h in steps)
    # losses far above the start need no scale of their own
    high = min(max([start, *(h.loss for h in steps if math.isfinite(h.loss))]), 1.6 * max(start, steps[0].best))
    logarithmic = low > 0 and high / low > 5
    scale: Callable[[float], float] = math.log10 if logarithmic else float
    bottom = scale(low) if logarithmic else 0.0
    span = max(scale(high) - bottom, 1e-12)

    def x(renders: float) -> float:
        return round(width * renders / right, 1)

    def y(value: float) -> float:
        return round(height * (1 - 0.04 - 0.92 * (scale(min(max(value, low), high)) - bottom) / span), 1)

    best = [f"{x(h.renders)},{y(h.best)}" for h in steps]
    loss = [f"{x(h.renders)},{y(h.loss)}" for h in steps if math.isfinite(h.loss)]
    values = _log_steps(low, high) if logarithmic else _round_steps(0.0, high, 5)
    phases, left = [], 0.0
    for name, group in groupby(steps, key=lambda h: h.phase):
        end = x(list(group)[-1].renders)
        phases.append((phase(name), left, round(end - left, 1)))
        left = end
    points = [
        [x(h.renders), y(h.best), h.renders, float(f"{h.loss:.4g}"), float(f"{h.best:.4g}")]
        for h in steps
        if math.isfinite(h.loss)
    ]
    return LossCurve(
        width=width,
        height=height,
        best=" ".join(best),
        loss=" ".join(loss),
        start=y(start),
        start_value=start,
        x_ticks=[Tick(x(v), f"{v:g}") for v in _round_steps(0.0, right, 6)],
        y_ticks=[Tick(y(v), f"{v:g}") for v in values if low <= v <= high or not logarithmic],
        phases=phases,
        points=points,
        logarithmic=logarithmic,
    )


def _log_steps(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    multiples = (1, 2, 5) if len(decades) <= 3 else (1,)
    return [float(f"{m * 10.0**d:.3g}") for d in decades for m in multiples if low <= m * 10.0**d <= high]
