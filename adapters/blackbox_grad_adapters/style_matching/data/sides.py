"""The recordings of a training: which lie on the side of training, and which on that of validation."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blackbox_grad.dependencies import library
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.data import corpora, recordings
from blackbox_grad_adapters.style_matching.data.parts import Parts, split_in_time
from blackbox_grad_adapters.style_matching.data.recordings import SHORT, Recording, Tracks

#: Bytes per second of a .g722 file.
_G722 = 8000.0


class OneGroupWarning(UserWarning):
    """Training and validation have parts of the same recordings."""


@dataclass(frozen=True)
class Found:
    """Recordings of a training, before they are decoded.

    Attributes:
        train, validation: of the two sides; `validation` is empty if `train` is one group, which is then split in time.
        left_out: groups that are shorter than an excerpt.
        seconds: of all recordings on both sides, as their headers say.
    """

    train: list[Recording]
    validation: list[Recording]
    left_out: list[str]
    seconds: float


def find(places: Sequence[Path], excerpt: float = 0.0) -> Found:
    """Choose the recordings: from folders and files, a tenth for validation; by default, the corpora.

    Args:
        excerpt: seconds. A group is left out if it has no recording as long, its short ones joined.

    Raises:
        AudioError: no audio is there, or all of it is too short.
        CorpusError: a corpus is not here.
    """
    if not places:
        missing = [c for side in ("train", "validate") for c in corpora.on_side(side) if not c.present]
        if len(missing) > 1:
            raise corpora.CorpusError(
                f"{len(missing)} corpora are not here; run: blackbox-grad style corpus get {' '.join(c.package for c in missing)} "
                f"({sum(c.megabytes for c in missing)} MB), or use a folder of recordings of your own (--recordings)"
            )
        sides = [[r for c in corpora.on_side(side) for r in c.recordings()] for side in ("train", "validate")]
        return Found(sides[0], sides[1], [], sum(seconds(r.path) or 0.0 for side in sides for r in side))
    found = [r for place in places for r in recordings.in_folder(place)]
    lengths = {r: seconds(r.path) for r in found}
    longest = _longest(lengths)
    usable = {group for group, length in longest.items() if length >= excerpt}
    if not usable:
        raise AudioError(
            f"no recording is as long as an excerpt, {excerpt:.1f} s: the longest of {len(found)} has {max(longest.values()):.1f} "
            f"s; give longer ones (--recordings); short ones in one subfolder are joined"
        )
    kept = [r for r in found if r.group in usable]
    whole = sum(lengths[r] or 0.0 for r in kept)
    left_out = sorted(set(longest) - usable)
    if len(usable) == 1:
        return Found(kept, [], left_out, whole)
    train, validation = recordings.split(kept)
    return Found(train, validation, left_out, whole)


def decode(
    found: Found, sample_rate: float, excerpt: int = 0, on_progress: Callable[[int, int], None] | None = None
) -> tuple[Tracks, Tracks]:
    """The tracks of both sides. Warns (`OneGroupWarning`) if they are parts of the same recordings.

    Args:
        excerpt: samples.

    Raises:
        AudioError: nothing can be read, or one group is too short to be split in time.
    """
    if found.left_out:
        names = ", ".join(found.left_out[:5]) + (", …" if len(found.left_out) > 5 else "")
        warnings.warn(
            f"left out, as they are shorter than an excerpt of {excerpt / sample_rate:.1f} s: {names}; short recordings in one "
            "subfolder are joined",
            stacklevel=2,
        )
    train = Tracks(found.train, sample_rate, on_progress=on_progress)
    if found.validation:
        return train, Tracks(found.validation, sample_rate, on_progress=on_progress)
    first, second = split_in_time(train, excerpt)
    warnings.warn(
        f"all recordings are of one group ({train.groups[0]}): the training has {first.seconds:.0f} s of them, in other pitches "
        f"and tempos too, and the validation the last {second.seconds:.0f} s. The results hold for this recording; how the "
        "controller does on others is not measured. Add recordings of others: each subfolder of --recordings, or each file beside "
        "them, is a group",
        OneGroupWarning,
        stacklevel=2,
    )
    return first, second


def of_one_group(tracks: tuple[Tracks, Tracks]) -> bool:
    """Whether both sides are parts of the same recordings."""
    return all(isinstance(side, Parts) for side in tracks)


def seconds(path: Path) -> float | None:
    """The length of a recording, from its header; None if the header does not say."""
    if path.suffix.lower() == ".g722":
        try:
            return path.stat().st_size / _G722
        except OSError:
            return None
    soundfile: Any = library("soundfile", "reading audio files")
    try:
        return float(soundfile.info(str(path)).duration) or None
    except (RuntimeError, OSError, TypeError):
        return None


def _longest(lengths: dict[Recording, float | None]) -> dict[str, float]:
    """The longest track of each group, in seconds; infinite if a header does not say."""
    longest: defaultdict[str, float] = defaultdict(float)
    joined: defaultdict[str, float] = defaultdict(float)
    for recording, length in lengths.items():
        known = float("inf") if length is None else length
        longest[recording.group] = max(longest[recording.group], known)
        if known < SHORT:
            joined[recording.group] += known
    return {group: max(length, joined[group]) for group, length in longest.items()}
