"""The effects that the style encoder learns from and is measured on: `effects.csv`, each with its maker and family.

The address, maker and family of a row are written by hand. `benchmarks/style_effects.py` opens each effect and writes the rest.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from blackbox_grad import EffectSpec
from blackbox_grad.files import replacing

FILE = Path(__file__).parent / "effects.csv"

#: The folder of the package's Faust programs, which the list names without a folder.
PROGRAMS = Path(__file__).parent.parent / "faust"

#: Families and makers whose effects are held out whole: no training meets one of them.
HELD_FAMILIES = ("gate", "pitch", "tremolo")
HELD_MAKERS = ("DISTRHO", "Dragonfly", "fomp", "Invada")

_FAUST = "faust:"


@dataclass(frozen=True)
class ListedEffect:
    """A row of the list.

    Attributes:
        address: of the effect.
        maker: who made it.
        family: what it does: "equaliser", "distortion", …
        parameters: the free parameters, separated by `|`; the others stay at their defaults. Empty if it was left out.
        audible: share of random settings at which it changes a recording by more than -30 dB.
        milliseconds: for a render of 2.8 s of stereo audio.
        left_out: why it is not used; empty if it is.
    """

    address: str
    maker: str
    family: str
    parameters: str = ""
    audible: str = ""
    milliseconds: str = ""
    left_out: str = ""

    @property
    def used(self) -> bool:
        return bool(self.parameters) and not self.left_out

    @property
    def held(self) -> bool:
        """Whether it is held out of training."""
        return self.family in HELD_FAMILIES or self.maker in HELD_MAKERS

    @property
    def names(self) -> tuple[str, ...]:
        """The free parameters."""
        return tuple(self.parameters.split("|"))

    def spec(self, sample_rate: float) -> EffectSpec:
        """The recipe of the effect, with all of its parameters."""
        address = self.address
        if address.startswith(_FAUST):
            address = f"{_FAUST}{PROGRAMS / address.removeprefix(_FAUST)}"
        return EffectSpec.of(address, sample_rate, "all")


def listed(file: Path = FILE) -> list[ListedEffect]:
    """All rows."""
    with file.open(encoding="utf-8", newline="") as lines:
        return [ListedEffect(**row) for row in csv.DictReader(lines)]


def write(effects: Iterable[ListedEffect], file: Path = FILE) -> None:
    """Write the rows, whole or not at all."""
    with replacing(file) as temporary, temporary.open("w", encoding="utf-8", newline="") as lines:
        rows = csv.DictWriter(lines, [field.name for field in fields(ListedEffect)], lineterminator="\n")
        rows.writeheader()
        rows.writerows(asdict(effect) for effect in effects)
