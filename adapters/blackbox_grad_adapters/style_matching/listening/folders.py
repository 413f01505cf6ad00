"""Items from a folder of audio.

Two layouts are read. *Folders of trials* hold a file for each system, `guitar/reference.wav`, `guitar/mine.wav`,
`guitar/dry.wav`. *Folders of systems* hold a file for each trial under one name, `reference/guitar.wav`, `mine/guitar.wav`,
`dry/guitar.wav`. A folder in between is the effect: `Delay/guitar/mine.wav`, or `mine/Delay/guitar.wav`.
"""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from blackbox_grad.audio_files import resample
from blackbox_grad.effects import Audio
from blackbox_grad.errors import AudioError
from blackbox_grad.files import check_readable_folder
from blackbox_grad_adapters.style_matching.data.recordings import SUFFIXES, decode
from blackbox_grad_adapters.style_matching.listening.items import REFERENCE, Item

Layout: TypeAlias = Literal["auto", "trials", "systems"]
LAYOUTS = get_args(Layout)

_LAYOUTS = (
    "a folder for each trial (guitar/reference.wav, guitar/mine.wav) or for each system (reference/guitar.wav, mine/guitar.wav)"
)

#: Files of a folder; more is no listening test.
_MOST_FILES = 2000


def from_folder(folder: str | os.PathLike[str], layout: Layout = "auto") -> list[Item]:
    """The items of a folder, sorted by name.

    Args:
        layout: "trials" or "systems"; "auto" takes the second if there is a folder called `reference`, otherwise the first.

    Raises:
        AudioError: no such folder, no trial in it, or a file that cannot be read.
    """
    root = check_readable_folder(folder)
    files = sorted(f for f in root.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
    if len(files) > _MOST_FILES:
        raise AudioError(f"{folder}: {len(files)} files of audio are too many for a listening test; name a smaller folder")
    if layout == "auto":
        layout = "systems" if any(f.relative_to(root).parts[0] == REFERENCE for f in files if f.parent != root) else "trials"
    found: defaultdict[tuple[str, str], dict[str, Path]] = defaultdict(dict)
    for file in files:
        parts = file.relative_to(root).with_suffix("").parts
        if len(parts) < 2:
            continue  # beside the folders
        system, trial = (parts[0], parts[1:]) if layout == "systems" else (parts[-1], parts[:-1])
        place = "/".join(trial[:-1]), trial[-1]
        if system in found[place]:
            raise AudioError(f"{file}: there is also {found[place][system].name}; keep one of them")
        found[place][system] = file
    whole = {place: systems for place, systems in found.items() if len(systems) > 1}
    if not whole:
        raise AudioError(f"{folder}: no trial of two sounds or more; it needs {_LAYOUTS}")
    if alone := sorted("/".join(filter(None, place)) for place in found if place not in whole):
        warnings.warn(
            f"left out, as there is only one sound: {', '.join(alone[:5])}{' …' if len(alone) > 5 else ''}", stacklevel=2
        )
    return [_item(name, effect, systems) for (effect, name), systems in whole.items()]


def _item(name: str, effect: str, systems: dict[str, Path]) -> Item:
    read = {system: decode(path) for system, path in systems.items()}
    rate = max(rate for _, rate in read.values())
    sounds: dict[str, Audio] = {s: audio if own == rate else resample(audio, own, rate) for s, (audio, own) in read.items()}
    first = {REFERENCE: sounds[REFERENCE]} if REFERENCE in sounds else {}
    return Item(name, effect, "", {**first, **sounds}, rate)
