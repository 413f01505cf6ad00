"""`make amount`: how the sound moves with the amount, from neutral settings to random ones and past them, on nine effects.

It writes docs/measured/amount.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blackbox_grad import EffectSpec, Host, audio_files
from blackbox_grad.hosts import opened_host
from blackbox_grad.inspection import Neutral, find_neutral
from blackbox_grad.inspection.listening import Ear, spectrum
from blackbox_grad.parameters import FloatArray, blend
from blackbox_grad_adapters.style_matching.networks.shipped import MDA, NINE, short_name

PAGE = Path(__file__).parent.parent / "docs" / "measured" / "amount.md"

AMOUNTS = np.linspace(0.0, 1.5, 13)

#: Seconds of the recording, another part than that on which the neutral settings are looked for.
_START, _SECONDS = 2.5, 2.0

#: Amounts of the table.
_SHOWN = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


@dataclass(frozen=True)
class Measured:
    """One effect with one random setting.

    Attributes:
        neutral: the neutral settings.
        distances: dB, from the neutral sound at each of `AMOUNTS`.
    """

    neutral: Neutral
    distances: FloatArray

    @property
    def fall(self) -> float:
        """By how much the distance falls again up to amount 1, as a part of the largest."""
        return self._fall(self.distances[AMOUNTS <= 1.0])

    @property
    def fall_past(self) -> float:
        """The same, up to 1.5."""
        return self._fall(self.distances)

    def _fall(self, distances: FloatArray) -> float:
        return float((np.maximum.accumulate(distances) - distances).max() / max(self.distances.max(), 1e-9))


def measure(host: Host, address: str, seed: int) -> Measured:
    """The distances from the neutral sound, at random settings that are not at the ends of their ranges."""
    audio, rate = audio_files.example()
    part = audio[:, int(_START * rate) : int((_START + _SECONDS) * rate)]
    info = host.open(EffectSpec.of(address, rate))
    point = np.random.default_rng(seed).uniform(0.1, 0.9, len(info.parameters))
    neutral = find_neutral(host, info, point)
    points = np.array([blend(info.parameters, neutral.point, point, amount) for amount in AMOUNTS])
    y, _ = host.render_batch(info.spec, part[None], points[:, None])
    ear = Ear(part)
    heard = [ear.decibels(spectrum(sound[0])) for sound in y]
    return Measured(neutral, np.array([np.sqrt(np.mean((other - heard[0]) ** 2)) for other in heard]))


def row(name: str, found: list[Measured]) -> str:
    kinds = [m.neutral.kind for m in found]
    told = ", ".join(f"{kind} {kinds.count(kind)}" for kind in ("nothing", "least", "defaults") if kind in kinds)
    whole = int(np.flatnonzero(AMOUNTS == 1.0)[0])
    parts = [
        np.median([100 * m.distances[int(np.flatnonzero(amount == AMOUNTS)[0])] / m.distances[whole] for m in found])
        for amount in _SHOWN
    ]
    growing = sum(m.fall_past <= 0.02 for m in found)
    worst, past = (100 * max(getattr(m, which) for m in found) for which in ("fall", "fall_past"))
    shown = " | ".join(f"{part:.0f}" for part in parts)
    return f"| {name} | {told} | {shown} | {growing} of {len(found)} | {worst:.0f} % | {past:.0f} % |"


def page(rows: Iterable[str], settings: int) -> str:
    lines = "\n".join(rows)
    amounts = " | ".join(f"{amount:g}" for amount in _SHOWN)
    return f"""# How the sound moves with the amount

`render --amount` and `style match --amount` go from neutral settings (0) to those found (1) and past them (1.5). Here, {settings}
random settings of each of the nine effects of style matching stand for what was found.

- *Neutral*: at how many of them settings were found where the effect does nothing (0.5 dB or less from its input), where it
  does least (less than half as far from it as at the settings), or neither, so that the defaults are neutral.
- *Distance from the neutral sound*: in percent of that at amount 1, median. It is the root-mean-square difference of log
  spectra, on two seconds of guitar that the search for neutral settings has not heard.
- *Grows*: at how many settings the distance never falls by more than 2 % of its largest value, at 13 amounts from 0 to 1.5.
- *Falls*: the largest fall among all settings, in percent of the largest distance, up to amount 1 and up to 1.5.

| effect | neutral | {amounts} | grows | falls, to 1 | to 1.5 |
|---|---|{"---|" * len(_SHOWN)}---|---|---|
{lines}

A sound that a mix or a depth leads away from the input moves away from it steadily. Where no such control exists, drive, filter and
level move together: the sound may come nearer to the neutral one again, as where a filter closes over what a drive has added.

This page is made by `make amount`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=int, default=8, help="random settings of each effect")
    parser.add_argument("--effects", nargs="*", default=[f"{MDA}/{name}" for name in NINE], help="addresses")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    with opened_host() as host:
        rows = []
        for address in given.effects:
            rows.append(row(short_name(address), [measure(host, address, seed) for seed in range(given.settings)]))
            print(rows[-1], flush=True)
    given.page.write_text(page(rows, given.settings), "utf-8")


if __name__ == "__main__":
    main()
