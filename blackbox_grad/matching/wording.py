"""A match in words, the same on the terminal, in the report and in a notebook."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blackbox_grad.matching.result import Match, Progress

#: `Progress.phase` -> what goes on. A searcher of the caller's has words of its own.
_PHASES = {
    "search": "trying settings",
    "starts": "trying starts",
    "emulation": "learning the effect",
    "descent": "following gradients",
    "polish": "fine-tuning",
    "lines": "one setting at a time",
}

#: Of more parameters, a choice is suggested.
_MANY = 24

#: Names of held parameters in one line.
_MOST_HELD = 8


def phase(name: str) -> str:
    """What a search is at."""
    return _PHASES.get(name, name)


def searching(name: str, count: int, renders: int, excerpt: float | None, length: float, part: str = "loudest") -> str:
    """The first words about a search for `count` settings of the effect called `name`; times are in seconds."""
    if not count:
        return f"{name}: nothing is searched, as every setting is held"
    compared = f" on the {part} {seconds(excerpt)} s of {seconds(length)} s" if excerpt and excerpt < length else ""
    many = "; --only NAME or PATTERN ('Gain *') searches fewer, and comes nearer" if count > _MANY else ""
    return f"{name}: searching {count} setting{'' if count == 1 else 's'}{compared}, in at most {renders} renders{many}"


def step(progress: Progress) -> str:
    """How far a search is."""
    return f"{progress.renders}/{progress.budget} renders, distance {number(progress.start)} → {number(progress.best)}"


def distances(found: Match) -> list[tuple[str, float, float]]:
    """What was compared, and the distance there at the defaults and at the settings found."""
    rows = [("the whole recording", found.loss_start, found.loss)]
    if found.searched_seconds < found.audio.shape[1] / found.sample_rate and found.history:
        last = found.history[-1]
        part = "first" if found.info.takes == "notes" else "loudest"
        rows.insert(0, (f"the {part} {seconds(found.searched_seconds)} s, which were searched", last.start, last.best))
    return rows


def remain(before: float, after: float) -> str:
    """How much of a distance is left."""
    return f"{100 * after / before:.3g} %" if math.isfinite(before) and before > 0 else ""


def ended(found: Match) -> str:
    """Why the search ended, and how to go on."""
    return {
        "converged": "It ended by itself: more renders would hardly help.",
        "budget": "No render is left of those allowed; more may come nearer.",
        "interrupted": "It was stopped early; these are the best settings so far.",
        "failed": "Stopped by an error; these are the best settings so far.",
    }.get(found.finished, found.finished)


def method(found: Match) -> str:
    """How the settings were found."""
    return {
        "emulator": "method: emulator, a model of the effect that is learnt from its renders",
        "all settings": "method: all settings were tried",
        "search": "method: settings were tried here and there",
    }.get(found.method, f"method: {found.method}")


def untouched(found: Match) -> str:
    """What `loss_dry` is the distance of."""
    return "silence" if found.info.takes == "notes" else "the whole of the input, without the effect"


def first_recording(found: Match) -> tuple[str, str]:
    """Title and note of what is heard before the target: the input, or an instrument at its start."""
    if found.info.takes == "notes":
        return "Start", "the notes with the settings that the search began at"
    return "Input", "the recording as it is"


def what_is_heard(found: Match) -> str:
    """The note of what was found."""
    return f"the {'notes' if found.info.takes == 'notes' else 'input through the effect'} at the settings found"


def held(found: Match) -> str:
    """Which parameters were not searched, and at what they are held; empty if there are none."""
    rows = [row for row in found.settings() if not row["free"]]
    if not rows:
        return ""
    shown = ", ".join(f"{row['name']} = {row['native']}" for row in rows[:_MOST_HELD])
    more = f" and {len(rows) - _MOST_HELD} more" if len(rows) > _MOST_HELD else ""
    return f"held, which means not searched: {shown}{more}"


def number(value: float) -> str:
    """A distance."""
    return f"{value:.4g}"


def seconds(value: float) -> str:
    """A duration, without its unit."""
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
