"""The distances between two recordings of one performance: the metrics that evaluate style matching.

Mel spectra in long windows, and errors of centroid, crest factor, level and loudness: after C. J. Steinmetz, N. J. Bryan and
J. D. Reiss, "Style transfer of audio effects with differentiable signal processing", JAES 70(9), 2022, doi:10.17743/jaes.2022.0025.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blackbox_grad.audio_files import resample
from blackbox_grad.dependencies import library
from blackbox_grad.effects import Audio
from blackbox_grad.errors import MissingDependencyError
from blackbox_grad.losses import mel_filters
from blackbox_grad_adapters.style_matching.measures.bands import SHORTEST
from blackbox_grad_adapters.style_matching.measures.cdpam import cdpam
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES
from blackbox_grad_adapters.style_matching.measures.spectral import apart, spectra
from blackbox_grad_adapters.style_matching.measures.style_loss import COMPARED


@dataclass(frozen=True)
class Metric:
    """A measure.

    Attributes:
        title: for a table's heading.
        unit: "" for a bare number.
        error: smaller is better, and 0 is equality.
        about: its description, for the docs.
    """

    title: str
    unit: str
    error: bool
    about: str


METRICS = {
    "mrstft": Metric(
        "MRSTFT", "", True, "spectrograms at six resolutions, linear and log magnitude, as in the original system"
    ),
    **{name: Metric(name, "", True, f"{judge.hears}; blind to when it happens") for name, judge in JUDGES.items()},
    "cdpam": Metric("CDPAM", "", True, "a distance learnt from listeners, from outside this project"),
    "log_mrstft": Metric("log MRSTFT", "", True, "its log magnitudes alone"),
    "mel": Metric("mel", "dB", True, "mel spectra of 128 bands in windows of 65 536 samples, mean absolute difference"),
    "centroid": Metric("centroid", "Hz", True, "spectral centroid of the mean magnitude spectrum, absolute error"),
    "crest": Metric("crest", "dB", True, "crest factor, absolute error"),
    "rms": Metric("RMS", "dB", True, "root mean square, absolute error"),
    "lufs": Metric("LUFS", "dB", True, "loudness of ITU-R BS.1770 (pyloudnorm), absolute error"),
    "si_sdr": Metric("SI-SDR", "dB", False, "scale-invariant signal-to-distortion ratio (auraloss), at most 60 dB"),
    "pesq": Metric("PESQ", "", False, "ITU-T P.862.2, wide band, of speech at 16 kHz (pesq)"),
}

#: The five judges, side by side.
JUDGED = (*COMPARED, "cdpam")

#: dB per neper; `apart` compares logarithms in neper.
_DECIBELS = 20.0 / math.log(10.0)

#: Window and bands of the mel spectra; shorter audio is one window.
_MEL_WINDOW, _MEL_BANDS = 65_536, 128

#: Window of the centroid.
_CENTROID_WINDOW = 2048

#: Largest value, dB. Beyond it no difference is audible, and a few equal recordings would decide the mean.
_SAME = 60.0

#: Level of silence in dB, and in LUFS, where BS.1770 gives no level.
_SILENCE, _UNHEARD = -100.0, -70.0

_PESQ_RATE = 16_000


def measured(
    y: Tensor, truth: Tensor, sample_rate: float, *, speech: bool, by_cdpam: Sequence[bool] = ()
) -> list[dict[str, float]]:
    """All of `METRICS` of each `y: [B, C, T]` against one `truth: [C, T]`, at a rate in Hz.

    NaN if a metric is not defined: PESQ of music, of silence, or without its library; loudness of less than 0.4 s; the judges of
    less than 0.1 s.

    Args:
        speech: measure PESQ.
        by_cdpam: for each `y`, whether CDPAM judges it, which takes seconds; by default none.
    """
    found = _spectral(y, truth[None], sample_rate) | _levels(y, truth[None]) | _judged(y, truth[None], sample_rate)
    found["cdpam"] = _by_cdpam(y, truth, sample_rate, by_cdpam)
    wanted = _loudness(truth, sample_rate)
    rows = []
    for i, audio in enumerate(y):
        row = {name: float(values[i]) for name, values in found.items()}
        row["lufs"] = abs(_loudness(audio, sample_rate) - wanted)
        row["pesq"] = _pesq(audio, truth, sample_rate) if speech else math.nan
        rows.append({name: row[name] for name in METRICS})
    return rows


def _spectral(y: Tensor, truth: Tensor, sample_rate: float) -> dict[str, Tensor]:
    """Each `[B]`."""
    parts = [apart(found, wanted) for found, wanted in zip(spectra(y), spectra(truth), strict=True)]
    linear, logarithmic = (torch.stack(part).mean(dim=0) for part in zip(*parts, strict=True))
    centroid = (_centroid(y, sample_rate) - _centroid(truth, sample_rate)).abs()
    _, mel = apart(_mel(y, sample_rate), _mel(truth, sample_rate))
    return {"mrstft": linear + logarithmic, "log_mrstft": logarithmic, "mel": _DECIBELS * mel, "centroid": centroid}


def _judged(y: Tensor, truth: Tensor, sample_rate: float) -> dict[str, Tensor]:
    """Each `[B]`."""
    if y.shape[-1] < SHORTEST * sample_rate:
        return {name: torch.full((len(y),), math.nan) for name in JUDGES}
    return {name: judge.each(y, truth, sample_rate) for name, judge in JUDGES.items()}


def _by_cdpam(y: Tensor, truth: Tensor, sample_rate: float, wanted: Sequence[bool]) -> Tensor:
    """`[B]`."""
    found = torch.full((len(y),), math.nan)
    judge = cdpam() if any(wanted) else None
    if judge is not None:
        chosen = torch.tensor(list(wanted))
        embedded = judge.embed(torch.cat([truth[None], y[chosen]]), sample_rate)
        found[chosen] = judge.between(embedded[1:], embedded[:1])
    return found


def _mel(x: Tensor, sample_rate: float) -> Tensor:
    """`[B, C, frames, bands]`."""
    size = min(_MEL_WINDOW, x.shape[-1] // 2 * 2)
    return spectra(x, (size,))[0] @ mel_filters(_MEL_BANDS, size, sample_rate)


def _centroid(x: Tensor, sample_rate: float) -> Tensor:
    """`[B]` Hz."""
    mean = spectra(x, (_CENTROID_WINDOW,))[0].mean(dim=(1, 2))
    return (mean * torch.linspace(0.0, sample_rate / 2, mean.shape[-1])).sum(dim=-1) / mean.sum(dim=-1)


def _levels(y: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Each `[B]`."""
    auraloss = library("auraloss", "SI-SDR", "style-training")
    ratio = -auraloss.time.SISDRLoss(reduction="none")(y, truth.expand_as(y)).mean(dim=-1)
    level, other = _level(y), _level(truth)
    crest, wanted = _peak(y) - level, _peak(truth) - other
    return {"si_sdr": ratio.clamp(max=_SAME), "rms": (level - other).abs(), "crest": (crest - wanted).abs()}


def _level(x: Tensor) -> Tensor:
    """`[B]` dB of the root mean square."""
    return 10.0 * torch.log10(x.square().mean(dim=(1, 2)).clamp_min(10.0 ** (_SILENCE / 10)))


def _peak(x: Tensor) -> Tensor:
    """`[B]` dB."""
    return 20.0 * torch.log10(x.abs().amax(dim=(1, 2)).clamp_min(10.0 ** (_SILENCE / 20)))


def _loudness(x: Tensor, sample_rate: float) -> float:
    """LUFS of `[C, T]`."""
    meter = _meter(sample_rate)
    if x.shape[-1] < meter.block_size * sample_rate:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the logarithm of silence
        return max(float(meter.integrated_loudness(x.T.double().numpy())), _UNHEARD)


@functools.cache
def _meter(sample_rate: float) -> Any:
    return library("pyloudnorm", "loudness", "style-training").Meter(sample_rate)


def _pesq(y: Tensor, truth: Tensor, sample_rate: float) -> float:
    pesq = pesq_library()
    if pesq is None or min(float(_peak(x[None])) for x in (y, truth)) <= _SILENCE:
        return math.nan
    degraded, reference = (_at_pesq_rate(x.numpy(), sample_rate) for x in (y, truth))
    try:
        return float(pesq.pesq(_PESQ_RATE, reference, degraded, "wb"))
    except pesq.PesqError:  # no utterance, or too short for one
        return math.nan


def _at_pesq_rate(x: Audio, sample_rate: float) -> Audio:
    mono = x.mean(axis=0, keepdims=True)
    converted = mono if sample_rate == _PESQ_RATE else resample(mono, sample_rate, _PESQ_RATE)
    first: Audio = converted[0]
    return first


@functools.cache
def pesq_library() -> Any:
    """The library; None, with one warning, if it is not installed."""
    try:
        return library("pesq", "PESQ", "pesq")
    except MissingDependencyError as error:
        warnings.warn(f"PESQ is left out: {error} (it is compiled there: a C compiler must be)", stacklevel=2)
        return None
