"""The trials of a test, from items: MUSHRA, AB and ABX."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.listening.anchors import ANCHORS, with_anchors
from blackbox_grad_adapters.style_matching.listening.description import (
    MOST_SIGNALS,
    MOST_TEXT,
    MOST_TRIALS,
    Description,
    Design,
    Trial,
)
from blackbox_grad_adapters.style_matching.listening.items import REFERENCE, Item, alike
from blackbox_grad_adapters.style_matching.listening.levels import Levels, level_matched


@dataclass(frozen=True)
class Prepared:
    """A test with its sounds.

    Attributes:
        description: what is kept with the answers.
        items: with anchors, of one loudness.
        places: of each trial's item in `items`, by the trial's id.
        levels: what was done to the loudness.
    """

    description: Description
    items: list[Item]
    places: dict[str, int]
    levels: Levels

    @property
    def sample_rate(self) -> float:
        """Hz."""
        return self.items[0].sample_rate


def prepared(
    items: Sequence[Item],
    design: Design,
    *,
    title: str = "Listening test",
    seconds: float = 10.0,
    anchors: bool = True,
    repeats: int = 1,
    pairs: Sequence[tuple[str, str]] = (),
) -> Prepared:
    """Make a test.

    Args:
        seconds: of a sound, at most.
        anchors: MUSHRA has the low-pass anchors.
        repeats: how often each comparison of ABX is asked.
        pairs: the comparisons of AB and ABX. By default all pairs of systems for AB, and each system with the reference for ABX.

    Raises:
        AudioError: there are no items, too many signals or trials, no reference where one is needed, or no such system.
    """
    if not items:
        raise AudioError("there is nothing to compare: no trial has two sounds")
    _check_names(items, title)
    if design == "mushra":
        if without := [item.title for item in items if REFERENCE not in item.sounds]:
            raise AudioError(f"{without[0]}: MUSHRA needs a {REFERENCE}; add one, or make a test of pairs: --test ab")
        most = MOST_SIGNALS - 1 - (len(ANCHORS) if anchors else 0)
        if many := [item for item in items if len(item.systems) > most]:
            raise AudioError(
                f"{many[0].title}: {len(many[0].systems)} systems are too many for one trial; {most} fit beside the reference"
                f"{' and the anchors' if anchors else ''} (ITU-R BS.1534-3). Choose some: --system NAME"
            )
    ready = alike(items, seconds)
    if design == "mushra" and anchors:
        ready = [with_anchors(item) for item in ready]
    ready, levels = level_matched(ready)
    trials: list[Trial] = []
    places: dict[str, int] = {}
    for place, item in enumerate(ready):
        for number, systems in enumerate(_asked(item, design, repeats, pairs)):
            name = f"{place + 1}" if design == "mushra" else f"{place + 1}-{number + 1}"
            places[name] = place
            trials.append(Trial(name, item.name, item.effect, item.kind, systems))
    if not trials:
        raise AudioError(
            f"no trial has the pair {', '.join(map(' and '.join, pairs)) or 'of systems'}; name others with --pair"
        )
    if len(trials) > MOST_TRIALS:
        raise AudioError(f"{len(trials)} trials are more than {MOST_TRIALS}, and than a listener can answer; make fewer")
    description = Description("", title, design, tuple(trials))
    return Prepared(replace(description, id=_digest(description, ready)), ready, places, levels)


def _asked(item: Item, design: Design, repeats: int, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """The hidden sounds of each trial of an item."""
    if design == "mushra":
        return [tuple(item.sounds)]
    if pairs:
        wanted = [pair for pair in pairs if set(pair) <= item.sounds.keys()]
    elif design == "ab":
        wanted = list(itertools.combinations(item.systems, 2))
    elif REFERENCE in item.sounds:
        wanted = [(REFERENCE, system) for system in item.systems]
    else:
        wanted = list(itertools.combinations(item.systems, 2))
    return [pair for pair in wanted for _ in range(repeats if design == "abx" else 1)]


def _check_names(items: Sequence[Item], title: str) -> None:
    texts = [title, *(text for item in items for text in (item.name, item.effect, item.kind, *item.sounds))]
    if long := [text for text in texts if len(text) > MOST_TEXT]:
        raise AudioError(f"the name {long[0][:60]}… has more than {MOST_TEXT} characters; shorten it")


def _digest(description: Description, items: Sequence[Item]) -> str:
    found = hashlib.sha256(json.dumps(description.to_json()).encode("utf-8", "surrogatepass"))
    for item in items:
        for audio in item.sounds.values():
            found.update(np.ascontiguousarray(audio).tobytes())
    return found.hexdigest()[:16]
