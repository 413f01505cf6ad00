"""The report of a match: one self-contained HTML page with players, spectrograms, loss curve and settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blackbox_grad.effects.audio import Audio, check_audio
from blackbox_grad.files import check_writable
from blackbox_grad.matching import sure_words as sure_words
from blackbox_grad.matching import wording as wording
from blackbox_grad.matching.curve_drawing import curve_drawings
from blackbox_grad.matching.loss_curve import loss_curve
from blackbox_grad.reports.pages import render_page, write_page
from blackbox_grad.reports.players import player

if TYPE_CHECKING:
    from blackbox_grad.matching.result import Match


@dataclass(frozen=True)
class Setting:
    """A row of the settings table. `value`, `default` and `truth` are normalised, the texts native."""

    name: str
    kind: str
    free: bool
    value: float
    value_text: str
    default: float
    default_text: str
    truth: float | None
    truth_text: str
    could_be: str = ""


def write_report(
    path: str | os.PathLike[str],
    match: Match,
    audio: Audio,
    target: Audio,
    *,
    command: str | None = None,
    truth: Mapping[str, float] | None = None,
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: `.html`.
        match: the result of `match()`.
        audio: its input `[C, T]`; for an instrument `match.input`.
        target: `[C, T]`, at the same sample rate.
        command: the command line that repeats the run.
        truth: normalised values that made the target, by parameter name, if they are known.

    Raises:
        AudioError: the path cannot be written.
        MissingDependencyError: jinja2, matplotlib or soundfile is not installed.
    """
    check_writable(path, (".html", ".htm"))  # before the work
    write_page(path, render_report(match, audio, target, command=command, truth=truth))


def render_report(
    match: Match,
    audio: Audio,
    target: Audio,
    *,
    command: str | None = None,
    truth: Mapping[str, float] | None = None,
) -> str:
    """The page as text; arguments as for `write_report`."""
    parts = (
        ("input", *wording.first_recording(match), check_audio(audio)),
        ("target", "Target", "the recording to match", check_audio(target)),
        ("match", "Match", wording.what_is_heard(match), match.audio),
    )
    return render_page(
        "report.html",
        match=match,
        player=player(parts, match.sample_rate, differ=True),
        curve=loss_curve(match.history),
        moving=curve_drawings(match, truth or {}),
        method=wording.method(match).removeprefix("method: "),
        searched=wording.distances(match)[0][0],
        has_held=bool(wording.held(match)),
        settings=_settings(match, truth or {}),
        has_truth=bool(truth),
        sure=sure_words.sentence(match),
        command=command,
    )


def _settings(match: Match, truth: Mapping[str, float]) -> list[Setting]:
    """One row per parameter, the free ones first."""
    space = match.info.parameters
    values = space.complete(match.point)
    rows, sure = [], sure_words.could_be(match)
    for i, parameter in enumerate(space.everything):
        if parameter.knot is not None:
            continue  # it is drawn
        value, known = float(values[i]), truth.get(parameter.name)
        text = "" if known is None else parameter.text(known)
        default, free = parameter.default, i in space.free
        rows.append(
            Setting(
                parameter.name,
                parameter.kind,
                free,
                value,
                parameter.text(value),
                default,
                parameter.text(default),
                known,
                text,
                sure.get(parameter.name, ""),
            )
        )
    return sorted(rows, key=lambda row: not row.free)
