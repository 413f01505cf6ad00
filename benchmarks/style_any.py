"""`make style-any`: style matching of effects that nothing was trained on, against other searches with the same distance.

Each item hides settings of an effect. They are applied to one part of a recording of the evaluation corpora, which is the
reference. The input is another part. All methods minimise the same distance between the reference and the input through the
effect, and none sees the truth, the input through the effect at the hidden settings. Judges compare their answers with the truth.

Answers go to a file of JSON lines at once, so that an interrupted run continues. CMA-ES is ST-ITO's way: C. J. Steinmetz et al.,
"ST-ITO: Controlling audio effects for style transfer with inference-time optimization", ISMIR 2024, arXiv:2410.21233.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from style_any_page import page

from blackbox_grad import EffectSpec
from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.data import corpora
from blackbox_grad_adapters.style_matching.data.pairs import Pair, PairDataset
from blackbox_grad_adapters.style_matching.data.rejection import silent
from blackbox_grad_adapters.style_matching.effect_path import SAMPLE_RATE, EffectPath
from blackbox_grad_adapters.style_matching.matching.hearing import Hearing
from blackbox_grad_adapters.style_matching.matching.quest import Quest
from blackbox_grad_adapters.style_matching.matching.search import in_vain
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES
from blackbox_grad_adapters.style_matching.measures.spectral import multi_resolution_stft
from blackbox_grad_adapters.style_matching.networks import shipped

MDA = "dawdreamer:http://drobilla.net/plugins/mda/"

#: A Faust program: a resonant low-pass whose cutoff an oscillator moves, and its mix.
WAH = (
    'faust:import("stdfaust.lib"); cutoff = hslider("cutoff [unit:Hz] [scale:log]", 800, 100, 6000, 1); '
    'rate = hslider("rate [unit:Hz]", 2, 0.2, 8, 0.01); depth = hslider("depth", 0.5, 0, 1, 0.01); '
    'mix = hslider("mix", 0.8, 0, 1, 0.01); sweep = cutoff * pow(2, 2 * depth * os.osc(rate)) : min(10000); '
    "process = _ <: _ * (1 - mix), (fi.resonlp(sweep, 4, 1) * mix) :> _;"
)

#: What no controller and no encoder of the package was trained on.
TARGETS = {
    "ZamEQ2": "pedalboard:ZamEQ2.vst3",
    "ZamCompX2": "pedalboard:ZamCompX2.vst3",
    "ZamDelay": "pedalboard:ZamDelay.vst3",
    "Phaser": "pedalboard-builtin:Phaser",
    "Chorus": "pedalboard-builtin:Chorus",
    "LadderFilter": "pedalboard-builtin:LadderFilter",
    "Bitcrush": "pedalboard-builtin:Bitcrush",
    "RezFilter": f"{MDA}RezFilter",
    "Degrade": f"{MDA}Degrade",
    "DubDelay": f"{MDA}DubDelay",
    "SubSynth": f"{MDA}SubSynth",
    "Bandisto": f"{MDA}Bandisto",
    "Faust wah": WAH,
    "HighpassFilter, Chorus": "pedalboard-builtin:HighpassFilter | pedalboard-builtin:Chorus",
    "ZamEQ2, DubDelay": f"pedalboard:ZamEQ2.vst3 | {MDA}DubDelay",
    "Degrade, LadderFilter, Phaser": f"{MDA}Degrade | pedalboard-builtin:LadderFilter | pedalboard-builtin:Phaser",
}

#: Samples of input and of reference: 5.5 s.
LENGTH = 131_072

#: The hidden settings change the spectrum by this much or more, dB. Others are drawn again: there is no style to match.
AUDIBLE = 1.0

SEED = 2026
KINDS: tuple[corpora.Kind, ...] = ("speech", "music")

#: Renders at a time.
BATCH = 8

#: Population and first step of CMA-ES with many renders; with few, the population is the one that its authors recommend.
POPULATION, STEP = 32, 0.33

#: CMA-ES ends early where its whole population is nearer together than this: it would find nothing else.
CONVERGED = 1e-3

Answers = dict[str, list[float] | None]


@dataclass(frozen=True)
class Item:
    """Hidden settings to find."""

    name: str
    path: EffectPath
    hearing: Hearing
    pair: Pair
    seed: int

    def distances(self, points: FloatArray) -> FloatArray:
        """`[N]`: of `points: [N, P]` from the reference; infinite where the effect gives silence."""
        found = []
        for i in range(0, len(points), BATCH):
            with torch.no_grad():
                y = self.path.render(self.hearing.excerpt, torch.from_numpy(points[i : i + BATCH]).float())
                distance = self.hearing.distance(self.path.finish(y))
            found.append(torch.where(silent(y), torch.inf, distance).double().numpy())
        return np.concatenate(found)


def searched(item: Item) -> Answers:
    """Ours, which may find that no effect is the answer."""
    quest = Quest(item.path, item.hearing, item.seed).run(300)
    with torch.no_grad():
        before = float(item.hearing.distance(item.path.dry(item.hearing.excerpt)))
    bypassed = in_vain(quest.distance, before, item.hearing.usual)
    return {"search 300": None if bypassed else quest.point.tolist()}


def evolved(item: Item, renders: int, population: int | None) -> list[float]:
    """The best of so many renders of CMA-ES, over all parameters from a random start."""
    import cma

    space = item.path.effect.parameter_space
    start = np.random.default_rng([item.seed, 1]).uniform(size=max(2, len(space)))  # it needs two dimensions
    options = {"bounds": [0.0, 1.0], "seed": item.seed + 1, "verbose": -9, "maxfevals": math.inf}
    # it ends where it has converged, and not because silent settings are equally bad
    options |= {"tolx": CONVERGED, "tolfun": 0, "tolfunhist": 0, "tolflatfitness": 10**9, "tolstagnation": 10**9}
    options |= {"popsize": population} if population else {}
    strategy = cma.CMAEvolutionStrategy(start, STEP, options)
    best, lowest, made = start, math.inf, 0
    while made < renders and not strategy.stop():
        asked = strategy.ask()
        points = space.snap(np.clip(np.array(asked)[:, : len(space)], 0.0, 1.0))[: renders - made]
        distances = item.distances(points)
        made += len(points)
        if distances.min() < lowest:
            best, lowest = points[distances.argmin()], float(distances.min())
        if len(points) == len(asked):
            strategy.tell(asked, np.minimum(distances, 1e6).tolist())
    return [float(value) for value in best[: len(space)]]


def nearest(item: Item, renders: int) -> list[float]:
    """The nearest of random settings; with more renders, the same ones and others."""
    space = item.path.effect.parameter_space
    points = space.snap(np.random.default_rng([item.seed, 2]).uniform(size=(renders, len(space))))
    found: list[float] = points[item.distances(points).argmin()].tolist()
    return found


METHODS: dict[str, Callable[[Item], Answers]] = {
    "search": searched,
    "cma-few": lambda item: {"CMA-ES 300": evolved(item, 300, None)},
    "cma-many": lambda item: {"CMA-ES 4096": evolved(item, 4096, POPULATION)},
    "random-few": lambda item: {"random 300": nearest(item, 300)},
    "random-many": lambda item: {"nearest of 4096": nearest(item, 4096)},
}


def items(names: list[str], rounds: int) -> Iterator[tuple[str, Callable[[], Item]]]:
    """Each target once a round, speech and music in turn."""
    encoder = shipped.encoder().eval()
    tracks: dict[str, Any] = {}
    paths: dict[str, EffectPath] = {}

    def made(target: str, kind: corpora.Kind, number: int) -> Item:
        if kind not in tracks:
            tracks[kind] = corpora.tracks("evaluate", SAMPLE_RATE, kind=kind)
        if target not in paths:
            paths[target] = EffectPath(EffectSpec.of(TARGETS[target], SAMPLE_RATE, "trainable"), host="in-process")
        path = paths[target]
        pairs = PairDataset(path, tracks[kind], length=LENGTH, seed=SEED, clean=0.0, augmentation=None)
        for index in range(1000 * number, 1000 * number + 1000):
            pair = pairs.pair(index)
            with torch.no_grad():
                change = JUDGES["spectrum"](path.dry(pair["input"][None]), pair["truth"][None], SAMPLE_RATE)
            if float(change) >= AUDIBLE:
                return Item(target, path, Hearing(encoder, pair["input"], pair["reference"]), pair, index)
        raise SystemExit(f"{target}: no audible settings")

    for turn in range(rounds):
        for n, target in enumerate(TARGETS):
            if not names or target in names:
                kind = KINDS[(n + turn) % 2]
                yield f"{target}/{kind}/{turn // 2}", lambda t=target, k=kind, i=turn // 2: made(t, k, i)  # type: ignore[misc]


def judged(item: Item, answers: Answers) -> dict[str, dict[str, float]]:
    """Method -> judge -> distance to the truth, on the whole input; also of the dry input."""
    x, truth = item.pair["input"][None], item.pair["truth"][None]
    names = list(answers)
    with torch.no_grad():
        points = [answers[name] for name in names]
        dry = item.path.dry(x)
        y = torch.cat([dry, *(dry if p is None else item.path(x, torch.tensor([p], dtype=torch.float32)) for p in points)])
        rows = {name: judge(y, truth, SAMPLE_RATE) for name, judge in JUDGES.items()}
        rows["mrstft"] = multi_resolution_stft(y, truth)
    return {method: {name: float(row[i]) for name, row in rows.items()} for i, method in enumerate(["dry", *names])}


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the answers.")] = Path("build/style-any"),
    methods: Annotated[str, typer.Option(help=f"Of {', '.join(METHODS)}.")] = ",".join(METHODS),
    targets: Annotated[str, typer.Option(help="Names of targets; all by default.")] = "",
    rounds: Annotated[int, typer.Option(help="Items of each target.")] = 4,
    seconds: Annotated[float, typer.Option(help="No item begins after this.")] = math.inf,
    page_file: Annotated[
        Path | None, typer.Option("--page", help="Write the page of what was measured; search nothing.")
    ] = None,
) -> None:
    torch.set_num_threads(1)
    output.mkdir(parents=True, exist_ok=True)
    file = output / "answers.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    done = {(row["item"], row["method"]): row for row in rows}
    began = time.monotonic()
    if page_file is not None:
        table = []
        for name, make in items([], rounds):
            answers = {k: p for (item, _), row in done.items() if item == name for k, p in row["answers"].items()}
            if answers:
                table.append({"item": name, "judged": judged(make(), answers)})
        page_file.write_text(page(table, TARGETS), "utf-8")
        return
    wanted = [name for name in targets.split(",") if name]
    for name, make in items(wanted, rounds):
        left = [method for method in methods.split(",") if (name, method) not in done]
        if not left:
            continue
        if time.monotonic() - began > seconds:
            break
        item = make()
        for method in left:
            start = time.monotonic()
            answers = METHODS[method](item)
            row = {"item": name, "method": method, "seconds": round(time.monotonic() - start, 1), "answers": answers}
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
            figures = judged(item, answers)
            told = ", ".join(f"{k} {v['spectrum'] / figures['dry']['spectrum']:.2f}" for k, v in figures.items() if k != "dry")
            print(f"{name}: {told} of dry ({row['seconds']} s)", flush=True)


if __name__ == "__main__":
    typer.run(main)
