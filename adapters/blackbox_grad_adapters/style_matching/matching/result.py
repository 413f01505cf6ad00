"""What matching styles found."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox_grad import Host
from blackbox_grad.effects import EffectInfo, saved_settings
from blackbox_grad.hosts import opened_host, save_preset_in
from blackbox_grad_adapters.style_matching.matching.level import Level

#: What the terminal and the report say of a bypassed effect.
BYPASSED = "bypass: no settings come clearly nearer to the reference than the input itself, which is the result, untouched"


@dataclass(frozen=True)
class ChainChange:
    """A change of a chain that was tried.

    Attributes:
        what: a sentence's beginning: "Reverb falls out", "Delay before Chorus".
        distance, distance_before: as in `StyleMatch`, with the change and without it.
        taken: whether the result has it.
        chain: the parts after the change, by name.
    """

    what: str
    distance: float
    distance_before: float
    taken: bool
    chain: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What the guard decided; see `blackbox_grad_adapters.style_matching.matching.guard`.

    Attributes:
        amount: how much of the settings it left, as `StyleMatch.amount`: 1 is all, and at 0 the input is returned.
        distances: by judge, of the result from the reference; 1 is usual between two parts of one recording.
        distances_found: of the settings as they were found; the same where they are the result.
        distances_before: of the input.
        other: another answer of the network came nearer, and is the result.
    """

    amount: float
    distances: dict[str, float]
    distances_found: dict[str, float]
    distances_before: dict[str, float]
    other: bool = False

    @property
    def remarks(self) -> list[str]:
        """For people: what was taken back, and why."""
        if self.amount == 1.0 and not self.other:
            return []
        said = ", ".join(
            f"{name} {self.distances_before[name]:.2f} → {found:.2f}" for name, found in self.distances_found.items()
        )
        if self.other:
            return [f"the guard took another answer; the settings found would change the distance to the reference so: {said}"]
        kept = f"{self.amount:.0%}" if self.amount else "nothing"
        return [f"the guard kept {kept} of the settings; all of them would change the distance to the reference so: {said}"]


@dataclass(frozen=True)
class StyleMatch:
    """The result of `StyleMatcher.match` and `StyleSearch.match`.

    Attributes:
        y: `[C, T] float32`: the input through the effect, as loud as the input unless `level` says otherwise.
        p: `[P]`, the settings, at `sample_rate`.
        sample_rate: Hz, of `y`.
        info: the effect, at `sample_rate`.
        gain: dB. The effect receives the input this much louder, with its peak at -12 dBFS as in training.
        renders: the number spent on the settings.
        distance, distance_before: between the encoder's traits of the reference and of the input through the effect, and of the
            dry input; 1 is usual for two parts of one recording.
        interrupted: Ctrl-C or SIGTERM ended the refinement; these are the best settings so far.
        amount: how much of the settings that were found `p` is: 0 is neutral.
        bypassed: no settings came nearer to the reference than the input itself. `y` is the input, and `p` neutral.
        guard: what the guard decided; None if there was none.
        changes: what the search tried with the parts of a chain, and what each change was worth.
        output_gain: dB. `y` is the output of the effect, this much louder: `gain`, then the effect, then `output_gain`.
        quieter: dB. `y` is so much quieter than the input, as its peaks would pass full scale.
        level: "loudness", "peak" or "none": what `output_gain` keeps.
    """

    y: NDArray[np.float32]
    p: NDArray[np.float64]
    sample_rate: float
    info: EffectInfo
    gain: float
    renders: int
    distance: float
    distance_before: float
    interrupted: bool = False
    amount: float = 1.0
    bypassed: bool = False
    guard: Verdict | None = None
    changes: tuple[ChainChange, ...] = ()
    output_gain: float = 0.0
    quieter: float = 0.0
    level: Level = "none"

    @property
    def remarks(self) -> list[str]:
        """For people: what was tried with the parts of a chain, what was taken back, and that the effect is bypassed."""
        lines = [
            f"{change.what}: distance {change.distance_before:.3g} → {change.distance:.3g}, "
            f"{'taken' if change.taken else 'not taken'}"
            for change in self.changes
        ]
        lines += self.guard.remarks if self.guard is not None else []
        return [*lines, BYPASSED] if self.bypassed else lines

    def levels(self) -> str:
        """For people: the gains before and after the effect."""
        words = f"levels: {self.gain:+.1f} dB before the effect, {self.output_gain:+.1f} dB after it"
        return f"{words}; {self.level_in_words}" if self.level_in_words else words

    @property
    def level_in_words(self) -> str:
        """For people: how the level of `y` is to that of the input; empty if it is as it leaves the effect."""
        if self.quieter >= 0.05:
            return f"{self.quieter:.1f} dB quieter than the input, as peaks would pass full scale"
        return {"loudness": "as loud as the input", "peak": "with the peak of the input", "none": ""}[self.level]

    def settings(self) -> dict[str, str]:
        """The effect's own texts of the free parameters, by name."""
        space = self.info.parameters
        return {parameter.name: parameter.text(float(value)) for parameter, value in zip(space, self.p, strict=True)}

    def save_preset(self, path: str | os.PathLike[str], *, name: str | None = None, host: str | Host | None = None) -> Path:
        """Write the settings as a preset that a DAW loads, and return its path; see `SelectedEffect.save_preset`.

        The effect received the input `gain` dB louder, and its output was made `output_gain` dB louder; a preset holds neither.
        """
        with opened_host(host, hosts=1) as opening:
            return save_preset_in(opening, self.info.spec, path, self.p, name=name)

    def to_json(self) -> dict[str, Any]:
        """Everything but the audio, ready for `json.dumps`."""
        saved = saved_settings(self.info, self.p)
        return {
            **saved,
            "parameters": [row for row in saved["parameters"] if row["free"]],
            "input_gain_db": self.gain,
            "output_gain_db": self.output_gain,
            "quieter_db": self.quieter,
            "level": self.level,
            "renders": self.renders,
            "distance": self.distance,
            "distance_before": self.distance_before,
            "interrupted": self.interrupted,
            "amount": self.amount,
            "bypassed": self.bypassed,
            "guard": None if self.guard is None else asdict(self.guard),
            "changes": [asdict(change) for change in self.changes],
        }
