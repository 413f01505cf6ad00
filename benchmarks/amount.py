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
from blackbox_grad.effects import Audio
from blackbox_grad.hosts import opened_host
from blackbox_grad.inspection import Neutral, SoundPath, find_neutral
from blackbox_grad.inspection.listening import Ear, spectrum
from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.networks.shipped import MDA, NINE, short_name

PAGE = Path(__file__).parent.parent / "docs" / "measured" / "amount.md"

AMOUNTS = np.linspace(0.0, 1.5, 13)

#: Seconds of the recording on which amounts are measured. The rest stands for further files with the same settings.
_SECONDS = 2.5

#: A fall by this part of the largest distance counts.
_FALL = 0.02

#: Amounts of the table.
_SHOWN = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


@dataclass(frozen=True)
class Measured:
    """One effect with one random setting.

    Attributes:
        neutral: the neutral settings.
        here, elsewhere: dB, from the neutral sound at each of `AMOUNTS`, where they were measured and on the rest.
    """

    neutral: Neutral
    here: FloatArray
    elsewhere: FloatArray


def fall(distances: FloatArray) -> float:
    """By how much the distance falls again, as a part of the largest."""
    return float((np.maximum.accumulate(distances) - distances).max() / max(distances.max(), 1e-9))


def measure(host: Host, address: str, seed: int) -> Measured:
    """The distances from the neutral sound, at random settings that are not at the ends of their ranges."""
    audio, rate = audio_files.example()
    at = int(_SECONDS * rate)
    info = host.open(EffectSpec.of(address, rate))
    point = np.random.default_rng(seed).uniform(0.1, 0.9, len(info.parameters))
    neutral = find_neutral(host, info, point)
    path = SoundPath(host, info, neutral.point, point, audio[:, :at])
    points = np.array([path.at(amount) for amount in AMOUNTS])
    y, _ = host.render_batch(info.spec, audio[None], points[:, None])
    return Measured(neutral, *(_distances(audio[:, part], y[:, 0, :, part]) for part in (slice(at), slice(at, None))))


def _distances(dry: Audio, sounds: Audio) -> FloatArray:
    """dB, of `[N, C, T]` from the first of them."""
    ear = Ear(dry)
    heard = [ear.decibels(spectrum(sound)) for sound in sounds]
    return np.array([np.sqrt(np.mean((other - heard[0]) ** 2)) for other in heard])


def row(name: str, found: list[Measured]) -> str:
    kinds = [m.neutral.kind for m in found]
    told = ", ".join(f"{kind} {kinds.count(kind)}" for kind in ("nothing", "least", "defaults") if kind in kinds)
    whole = int(np.flatnonzero(AMOUNTS == 1.0)[0])
    parts = [
        np.median([100 * m.here[int(np.flatnonzero(amount == AMOUNTS)[0])] / m.here[whole] for m in found]) for amount in _SHOWN
    ]
    shown = " | ".join(f"{part:.0f}" for part in parts)
    falls = [[fall(distances) for distances in where] for where in ([m.here for m in found], [m.elsewhere for m in found])]
    told_falls = " | ".join(f"{sum(f <= _FALL for f in of)} of {len(of)} | {100 * max(of):.0f} %" for of in falls)
    return f"| {name} | {told} | {shown} | {told_falls} |"


def page(rows: Iterable[str], settings: int) -> str:
    lines = "\n".join(rows)
    amounts = " | ".join(f"{amount:g}" for amount in _SHOWN)
    return f"""# How the sound moves with the amount

`render --amount` and `style match --amount` go from neutral settings (0) to those found (1) and past them (1.5). Here, {settings}
random settings of each of the nine effects of style matching stand for what was found.

- *Neutral*: at how many of them settings were found where the effect does nothing (0.5 dB or less from its input), where it
  does least (less than half as far from it as at the settings), or neither, so that the defaults are neutral.
- *Distance from the neutral sound*: in percent of that at amount 1, median. It is the root-mean-square difference of log
  spectra. The amounts are measured on the first 2.5 s of a guitar, and the distances belong to these.
- *Grows*: at how many settings the distance never falls by more than 2 % of its largest value, at 13 amounts from 0 to 1.5.
  *Falls*: the largest fall among all settings, in percent of the largest distance.
- *Elsewhere*: the same on the next 2.5 s, on which nothing was measured, as with further files that get the same settings.

| effect | neutral | {amounts} | grows | falls | grows elsewhere | falls elsewhere |
|---|---|{"---|" * len(_SHOWN)}---|---|---|---|
{lines}

Past the settings, the distance grows only while the settings can: where they reach the ends of their ranges, or where nothing on
the way gets further from the neutral sound, 1.5 is less than half as far again. Elsewhere, amounts are not quite in proportion, and
the sound may come back.

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
