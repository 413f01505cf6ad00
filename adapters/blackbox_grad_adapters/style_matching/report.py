"""Reports of style matching: one self-contained HTML page, to listen to and to look at."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox_grad.audio_files import resample
from blackbox_grad.dependencies import library
from blackbox_grad.effects import Audio
from blackbox_grad.errors import AudioError
from blackbox_grad.reports import figures, flac, player, render_page, write_page
from blackbox_grad_adapters.style_matching.loudness import loudness
from blackbox_grad_adapters.style_matching.maps.control_map import mp3
from blackbox_grad_adapters.style_matching.measures.style_loss import COMPARED
from blackbox_grad_adapters.style_matching.networks import shipped

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.matching.result import StyleMatch
    from blackbox_grad_adapters.style_matching.training.controller_training import Trained

#: Pairs to listen to in the report of a run.
EXAMPLES = 3


@dataclass(frozen=True)
class Sound:
    """A recording: its title, a player and a spectrogram, both data URIs."""

    title: str
    source: str
    picture: str


@dataclass(frozen=True)
class Example:
    """Recordings that belong together, with settings: name, found value, and true value or None."""

    title: str
    sounds: list[Sound]
    settings: list[tuple[str, float, float | None]]


@dataclass(frozen=True)
class Picture:
    """A figure: a data URI and a caption."""

    title: str
    source: str
    note: str


def write_run_report(path: str | os.PathLike[str], trained: Trained, command: str, examples: int = EXAMPLES) -> None:
    """The report of a training: curves, parameters, and validation pairs to listen to.

    Args:
        examples: number of pairs, of 0.2 MB each.

    Raises:
        AudioError: the path cannot be written.
    """
    results, names = trained.results, trained.path.names
    rate = trained.path.sample_rate
    pairs = trained.examples
    shown = []
    for i in range(min(examples, len(trained.p))):
        parts = {
            "Input": pairs["input"][i],
            "Reference: another part, through the effect": pairs["reference"][i],
            "Truth: the input through the effect": pairs["truth"][i],
            "Match: the input through the effect, as the controller sets it": trained.y[i],
        }
        clean = bool(pairs["clean"][i])
        settings = [
            (name, float(found), None if clean else float(right))
            for name, found, right in zip(names, trained.p[i], pairs["p"][i], strict=True)
        ]
        title = f"Pair {i + 1}" + (": the reference is dry" if clean else "")
        shown.append(Example(title, _sounds({name: audio.numpy() for name, audio in parts.items()}, rate, _small), settings))
    nothing, chance = shipped.nothing_learnt(results), 100.0 * results["chance"]
    facts = [
        (
            "learnt",
            "nothing" if nothing else "yes",
            nothing or f"one that knows nothing does as well in {chance:.1g} % of cases",
        ),
        ("distance / dry", f"{results['ratio']:.2f}", "to the truth; no effect gives 1"),
        ("after settings", f"{results['ratio after settings']:.2f}", "before the stage on the sound"),
        ("middle", f"{results['ratio of the middle']:.2f}", "all settings at 0.5"),
        ("time", _minutes(trained), "of training, without the rendering of pairs"),
    ]
    page = render_page(
        "style.html",
        package="blackbox_grad_adapters.style_matching",
        kicker="style train",
        title=trained.path.effect.info.name,
        address=trained.path.spec.address,
        facts=facts,
        pictures=[_curves(trained), *_parameters(trained)],
        examples=shown,
        errors=[(name, error, results.get("explained", {}).get(name)) for name, error in results["error"].items()],
        frequency_ticks=figures.frequency_ticks(rate),
        command=command,
    )
    write_page(path, page)


def write_match_report(
    path: str | os.PathLike[str], found: StyleMatch, audio: Audio, reference: Audio, reference_rate: float, command: str
) -> None:
    """The report of a match: input, reference and result to listen to.

    Raises:
        AudioError: the path cannot be written.
    """
    rate = found.sample_rate
    other = reference if reference_rate == rate else resample(reference, reference_rate, rate)
    parts = (
        ("input", "Input", "the recording to change", audio),
        ("reference", "Reference", "how it should sound", other),
        ("match", "Match", "the input through the effect", found.y),
    )
    levels = {key: loudness(part, rate) for key, *_, part in parts}
    settings: list[tuple[str, float, float | None]] = [
        (name, float(value), None) for name, value in zip(found.info.parameters.names, found.p, strict=True)
    ]
    page = render_page(
        "style.html",
        package="blackbox_grad_adapters.style_matching",
        kicker="style match",
        title=found.info.name,
        address=found.info.spec.address,
        facts=[
            (
                "distance",
                f"{found.distance_before:.3g} → {found.distance:.3g}",
                "to the reference; 1 is usual for two parts of one recording",
            ),
            ("input gain", f"{found.gain:+.1f} dB", "before the effect"),
            ("output gain", f"{found.output_gain:+.1f} dB", found.level_in_words or "after the effect"),
            ("renders", str(found.renders), "spent on better settings"),
        ],
        pictures=[],
        player=player(parts, rate, repeat=True, loudness={key: level for key, level in levels.items() if math.isfinite(level)}),
        examples=[Example("Settings", [], settings)],
        errors=[],
        remarks=found.remarks,
        frequency_ticks=figures.frequency_ticks(rate),
        command=command,
    )
    write_page(path, page)


def _sounds(parts: dict[str, Audio], rate: float, encoded: Callable[[Audio, float], str] = flac) -> list[Sound]:
    """Recordings with their own lengths; all spectrograms have one colour scale."""
    loudest = max(float(np.abs(audio).max(initial=0.0)) for audio in parts.values())
    gain = min(1.0, 0.999 / max(loudest, 1e-9))
    levels = {name: figures.spectrogram(audio, rate, audio.shape[1]) for name, audio in parts.items()}
    top = max(float(level.max()) for level in levels.values())
    return [
        Sound(
            name,
            encoded(audio * gain, rate),
            figures.png(np.maximum(levels[name] - top, figures.FLOOR), figures.FLOOR, 0.0, "magma"),
        )
        for name, audio in parts.items()
    ]


def _small(audio: Audio, rate: float) -> str:
    """`[C, T]` as MP3 in a data URI, a third of FLAC's size; as FLAC at a rate that MP3 does not support."""
    try:
        return "data:audio/mpeg;base64," + mp3(audio, rate)
    except AudioError:
        return flac(audio, rate)


def _minutes(trained: Trained) -> str:
    seconds = sum(fitted.history[-1]["seconds"] for fitted in trained.stages.values() if fitted.history)
    return f"{seconds / 60:.1f} min"


def _curves(trained: Trained) -> Picture:
    """The training and validation curves of each stage."""
    pyplot = _pyplot()
    kept = {
        "settings": ("settings/train", "settings/validation"),
        "audio": ("audio/train", *(f"judges/{name}" for name in COMPARED)),
    }
    titles = {"settings": "error of the settings", "audio": "distance of the sound"}
    figure, panels = pyplot.subplots(1, max(1, len(trained.stages)), figsize=(8.6, 3.0), squeeze=False, layout="constrained")
    for panel, (stage, fitted) in zip(panels[0], trained.stages.items(), strict=False):
        epochs = [row["epoch"] + 1 for row in fitted.history]
        for name in kept[stage]:
            values = [row.get(name, math.nan) for row in fitted.history]
            if any(map(math.isfinite, values)):
                panel.plot(epochs, values, marker=".", label=name.partition("/")[2])
        if stage == "audio":
            panel.axhline(trained.results["ratio after settings"], color="0.5", linestyle=":", label="mean before")
        panel.set(title=titles[stage], xlabel="epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.legend(frameon=False)
    note = "“train”: the loss. The others: mean distance to the truth over that of the dry input, on pairs of other recordings."
    return Picture("Losses", _svg(figure), note)


def _parameters(trained: Trained) -> Sequence[Picture]:
    """The predictions over the epochs, and against the true settings."""
    pyplot = _pyplot()
    names = trained.path.names
    pictures = []
    fitted = trained.stages.get("audio")
    if fitted is not None and fitted.history:
        figure, panel = pyplot.subplots(figsize=(8.6, 3.0), layout="constrained")
        epochs = [row["epoch"] + 1 for row in fitted.history]
        for name, right in zip(names, trained.examples["p"][0], strict=True):
            (line,) = panel.plot(epochs, [row[f"parameters/{name}"] for row in fitted.history], marker=".", label=name)
            if trained.fixed:
                panel.axhline(float(right), color=line.get_color(), linestyle="--", linewidth=0.8)
        panel.set(xlabel="epoch of the stage on the sound", ylabel="mean prediction", ylim=(-0.02, 1.02))
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        note = "Dashed: the settings of all pairs." if trained.fixed else "Means over the pairs to validate on."
        pictures.append(Picture("Parameters while training", _svg(figure), note))
    if not trained.fixed:
        columns = min(4, len(names))
        rows = -(-len(names) // columns)
        figure, panels = pyplot.subplots(rows, columns, figsize=(8.6, 2.2 * rows), squeeze=False, layout="constrained")
        wet = ~trained.examples["clean"]
        for panel, i in zip(panels.flat, range(rows * columns), strict=True):
            if i >= len(names):
                panel.axis("off")
                continue
            panel.scatter(trained.examples["p"][wet, i], trained.p[wet, i], s=9, alpha=0.7, rasterized=True)
            panel.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
            panel.set(title=names[i], xlim=(0, 1), ylim=(0, 1), xticks=(0, 1), yticks=(0, 1))
        note = "Across: true; up: found. For an inaudible setting, the controller answers what does little harm."
        pictures.append(Picture("Settings of pairs to validate on", _svg(figure), note))
    return pictures


def _pyplot() -> Any:
    matplotlib = library("matplotlib", "the report")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _svg(figure: Any) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", dpi=144, metadata={"Date": None})
    _pyplot().close(figure)
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()
