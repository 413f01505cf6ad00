"""`make recovery`: does `match` find the settings that made a target?

Every task hides settings that are sampled from a seed. The sound *determines* a parameter if the others cannot compensate for a
change of it by 0.05. The measure is the Jacobian of the loss's features at the hidden settings: its column is fitted by the other
columns in least squares. The residual must exceed a thousandth of the starting loss, ten times the loss at which `match` ends.
If `match` has converged to another value of a parameter that sounds the same, it counts as a *twin* instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track

from blackbox_grad import EffectSpec, Host, Match, default_host, match
from blackbox_grad.audio_files import example
from blackbox_grad.effects import Audio
from blackbox_grad.files import replacing
from blackbox_grad.losses import loss_for
from blackbox_grad.matching.objective import Objective
from blackbox_grad.matching.strategy import StrategyNumbers
from blackbox_grad.parameters import FloatArray

MDA = "dawdreamer:http://drobilla.net/plugins/mda/"
EFFECTS = {
    "MDA Overdrive": f"{MDA}Overdrive",
    "MDA Ambience": f"{MDA}Ambience",
    "ZamEQ2": "pedalboard:ZamEQ2.vst3",
    "ZamCompX2": "pedalboard:ZamCompX2.vst3",
    "Distortion": "pedalboard-builtin:Distortion",
    "Reverb": "pedalboard-builtin:Reverb",
    "Compressor": "pedalboard-builtin:Compressor",
    "LadderFilter": "pedalboard-builtin:LadderFilter",
}
#: Largest error at which a parameter counts as found.
FOUND = 0.05
#: Share of the starting loss that a determined parameter changes, beyond what others can compensate for.
DETERMINED = 1e-3
#: Range of the hidden settings.
LOW, HIGH = 0.1, 0.9
SECONDS = 3.0


@dataclass(frozen=True)
class Row:
    """One effect and one seed.

    Attributes:
        errors: of the determined parameters.
        undetermined: parameters that others can compensate for.
        twins: parameters with another value in settings that sound the same.
        apart: distance of the sound from the target, dB.
    """

    effect: str
    seed: int
    errors: dict[str, float]
    undetermined: list[str]
    twins: list[str]
    loss: float
    apart: float
    renders: int

    @property
    def missed(self) -> list[str]:
        return [f"{name} {error:.2f}" for name, error in self.errors.items() if error > FOUND]


def recover(effect: str, seed: int, host: Host, renders: int) -> Row:
    """Hide settings, and search for them."""
    audio, rate = _excerpt()
    spec = EffectSpec.of(EFFECTS[effect], rate, "continuous")
    space = host.open(spec).parameters
    random = np.random.default_rng([seed, sum(effect.encode())])
    for _ in range(100):
        hidden = random.uniform(LOW, HIGH, (1, len(space)))
        target, finite = host.render_batch(spec, audio[None], hidden)
        if finite.all() and np.square(target).mean() > 1e-5:  # neither broken nor silent
            break
    found = match(spec, audio, target[0], renders=renders, seed=seed, excerpt=None, host=host)
    residual = _residual(spec, host, audio, target[0], hidden[0], found)
    errors = dict(zip(space.names, np.abs(found.point - hidden[0]).tolist(), strict=True))
    loss = found.loss / found.loss_start
    locally = [name for name, left in zip(space.names, residual, strict=True) if left > DETERMINED]
    twins = [name for name in locally if loss <= StrategyNumbers.enough and errors[name] > FOUND]
    return Row(
        effect,
        seed,
        {name: errors[name] for name in locally if name not in twins},
        [name for name in space.names if name not in locally],
        twins,
        loss,
        apart(found.audio, target[0]),
        found.renders,
    )


def _residual(spec: EffectSpec, host: Host, audio: Audio, target: Audio, hidden: FloatArray, found: Match) -> FloatArray:
    """`[P]`: what a change of `FOUND` in each parameter leaves of the starting loss, after the best compensation by the others."""
    space = found.info.parameters
    objective = Objective(spec, host, audio, loss_for("mrstft", torch.from_numpy(target), spec.sample_rate))
    step = 0.01
    moves = step * np.eye(len(space))
    ahead, behind = (torch.stack(list(objective.evaluate(hidden + way)[1])) for way in (moves, -moves))
    jacobian = ((ahead - behind) / (2 * step)).double().numpy()
    left = np.empty(len(space))
    for i, column in enumerate(jacobian):
        others = np.delete(jacobian, i, axis=0)
        answer = np.linalg.lstsq(others @ others.T, others @ column, rcond=1e-9)[0]
        left[i] = FOUND * np.abs(column - answer @ others).sum()
    return left / found.loss_start


def apart(y: Audio, target: Audio) -> float:
    """Mean absolute difference of two spectrograms in dB; power 60 dB or more below the target's mean does not count."""
    window = torch.hann_window(2048)
    both = torch.stft(torch.from_numpy(np.concatenate([y, target])), 2048, window=window, return_complex=True).abs().square()
    mine, due = both.chunk(2)
    floor = 1e-6 * due.mean()
    return float((10 * torch.log10((mine + floor) / (due + floor))).abs().mean())


def _excerpt() -> tuple[Audio, float]:
    audio, rate = example()
    return np.ascontiguousarray(audio[:1, : round(SECONDS * rate)]), rate


def main(
    effects: Annotated[str, typer.Option(help="Only effects with one of these words in their names.")] = "",
    seeds: Annotated[int, typer.Option(help="Hidden settings per effect.")] = 3,
    renders: Annotated[int, typer.Option(help="The most renders.")] = 2000,
    page: Annotated[Path | None, typer.Option(help="Write the results into this page.")] = None,
) -> None:
    words = [word.lower() for word in effects.split(",")]
    chosen = [name for name in EFFECTS if any(word in name.lower() for word in words)]
    cells = [(name, seed) for name in chosen for seed in range(seeds)]
    host = default_host()
    console = Console(stderr=True)
    rows = []
    for name, seed in track(cells, "recovery", console=console):
        rows.append(recover(name, seed, host, renders))
        console.print(f"{name} {seed}: {rows[-1].missed or 'found'}, loss {rows[-1].loss:.1e}, {rows[-1].renders} renders")
    text = table(rows)
    print(text)
    if page:
        with replacing(page) as temporary:
            temporary.write_text(_PAGE.format(table=text, seconds=SECONDS, low=LOW, high=HIGH, seeds=seeds), "utf-8")


def table(rows: list[Row]) -> str:
    """A Markdown table with a line for each effect."""
    lines = [
        "| effect | determined | found within 0.05 | median error | largest error | loss | dB apart | renders | missed | twins | "
        "not determined |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- | --- |",
    ]
    for effect in dict.fromkeys(row.effect for row in rows):
        own = [row for row in rows if row.effect == effect]
        errors = [error for row in own for error in row.errors.values()]
        missed = [f"{name} (seed {row.seed})" for row in own for name in row.missed]
        undetermined = sorted({name for row in own for name in row.undetermined})
        twins = [f"{name} (seed {row.seed})" for row in own for name in row.twins]
        lines.append(
            f"| {effect} | {len(errors)} | {sum(e <= FOUND for e in errors)} | {np.median(errors or [np.nan]):.4f} | "
            f"{max(errors, default=np.nan):.3f} | {max(row.loss for row in own):.1e} | "
            f"{max(row.apart for row in own):.3f} | "
            f"{np.median([row.renders for row in own]):.0f} | {', '.join(missed) or 'none'} | "
            f"{', '.join(twins) or 'none'} | {', '.join(undetermined) or 'none'} |"
        )
    return "\n".join(lines)


_PAGE = """# Settings found by `match`

This page is generated by `make recovery`. An effect at hidden settings makes a target from {seconds:g} s of a guitar, and
`match` searches for these settings with its defaults. {seeds} seeds sample the continuous settings between {low} and {high}.
Errors are of the normalised settings.

- *determined*: parameters that the sound determines: if one moved by 0.05, the others could not compensate for it. The
  column counts them over all seeds.
- *twins*: parameters that `match` found at another value with a loss below a ten-thousandth of the start. Both values sound
  the same.
- *loss*: the largest final loss, relative to that of the default settings.
- *dB apart*: the largest mean difference between the spectrograms of the result and the target. Some tenths of a dB are
  inaudible.
- *renders*: the median.

{table}
"""

if __name__ == "__main__":
    typer.run(main)
