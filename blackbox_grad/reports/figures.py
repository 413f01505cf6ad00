"""The report's figures: spectrograms of recordings as pictures, the loss over renders as coordinates."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox_grad.effects.audio import Audio
from blackbox_grad.parameters.parameter import FloatArray

#: Frequency bands of a spectrogram, and its most frames.
BANDS, FRAMES = 160, 720

#: Range of the spectrograms, in dB below the loudest band of all recordings, and range of the differences, ± dB.
FLOOR, SPREAD = -80.0, 24.0

LOWEST = 40.0  # Hz

_WINDOW = 2048

#: Half the height of a mark's text, as a part of a spectrogram's height.
_MARGIN = 0.05


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
    """Marks of the frequency axis of a spectrogram; those whose text the edge of the picture would cut are left out."""
    edges = band_edges(sample_rate)
    span = math.log(edges[-1] / edges[0])
    wanted = {100.0: "100 Hz", 1000.0: "1 kHz", 10000.0: "10 kHz"}
    places = {text: 1 - math.log(f / edges[0]) / span for f, text in wanted.items()}
    return [Tick(place, text) for text, place in places.items() if _MARGIN < place < 1 - _MARGIN]


def time_ticks(seconds: float) -> list[Tick]:
    """Marks of a time axis."""
    return [Tick(t / seconds, f"{t:g} s") for t in round_steps(0.0, seconds, 6) if t < 0.97 * seconds]


def round_steps(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most about `most`."""
    raw = max(high - low, 1e-12) / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def log_steps(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    multiples = (1, 2, 5) if len(decades) <= 3 else (1,)
    return [float(f"{m * 10.0**d:.3g}") for d in decades for m in multiples if low <= m * 10.0**d <= high]
