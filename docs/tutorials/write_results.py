"""Runs the tutorial on every effect and seed that its page shows, and writes their figures and tables into it: `make tutorial`.

A run is kept in `build/tutorial` until the program that it ran changes, so what was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import learn_hidden_settings
import matplotlib
import set_a_synth
import torch
from learn_hidden_settings import Run, draw, learn

from blackbox_grad.files import replacing

HERE = Path(__file__).resolve().parent
PAGE, FIGURES, KEPT = HERE / "learn-hidden-settings.md", HERE.parent / "figures", HERE.parent.parent / "build" / "tutorial"
SEEDS = (0, 1, 2)
LEARNT = {
    "MDA Combo": "dawdreamer:http://drobilla.net/plugins/mda/Combo",
    "MDA RezFilter": "dawdreamer:http://drobilla.net/plugins/mda/RezFilter",
    "ZamGEQ31": "pedalboard:ZamGEQ31.vst3",
    "ZaMaximX2": "pedalboard:ZaMaximX2.vst3",
}
HARD = {
    "ZamEQ2": "pedalboard:ZamEQ2.vst3",
    "ZamCompX2": "pedalboard:ZamCompX2.vst3",
}


def kept(program: str | None, what: str, run: Callable[[], Any]) -> dict[str, Any]:
    """What a run left, of a program that has not changed since."""
    name = hashlib.sha256(Path(program or "").read_bytes() + what.encode()).hexdigest()
    file = KEPT / f"{name}.pt"
    if not file.exists():
        print(what, flush=True)
        KEPT.mkdir(parents=True, exist_ok=True)
        left = vars(run())
        with replacing(file) as temporary:
            torch.save(left, temporary)
    found: dict[str, Any] = torch.load(file)
    return found


def kept_run(effect: str, seed: int) -> Run:
    return Run(**kept(learn_hidden_settings.__file__, f"{effect} {seed}", lambda: learn(effect, seed=seed)))


def synth() -> str:
    """A row for each seed."""
    rows = []
    for seed in SEEDS:
        found = set_a_synth.Result(
            **kept(set_a_synth.__file__, f"synth {seed}", lambda seed=seed: set_a_synth.learn(seed=seed))
        )
        distances = (found.middle, found.untrained, found.trained)
        rows.append([str(seed), *(f"{distance:.3f}" for distance in distances), *(f"{error:.3f}" for error in found.errors)])
    header = ["seed", "in the middle", "untrained", "trained", *(f"error of {name}" for name in set_a_synth.PARAMETERS)]
    return table(header, rows)


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *rows])


def summary(runs: dict[str, list[Run]]) -> str:
    """A row for each run."""
    header = ["effect", "seed", "steps", "loss", "told by the sound", "their median error", "their worst error"]
    rows = []
    for name, of_effect in runs.items():
        for run in of_effect:
            told, worst = run.errors[run.told], max(run.told, key=lambda i: float(run.errors[i]))
            row = [name, f"{run.seed}", f"{len(run.losses) - 1}", f"{run.losses[-1]:.0e}"]
            row += [f"{len(told)} of {len(run.names)}", f"{told.median():.4f}", f"{told.max():.4f} ({run.names[worst]})"]
            rows.append(row)
    return table(header, rows)


def errors(runs: list[Run]) -> str:
    """A row for each parameter."""

    def cell(run: Run, i: int) -> str:
        remark = "" if i in run.told else f" ({run.verdict(i)})"
        return f"{run.hidden[i]:.3f} | {run.errors[i]:.4f}{remark}"

    header = ["parameter"]
    for run in runs:
        header += [f"hidden, seed {run.seed}", "error"]
    return table(header, [[name, *(cell(run, i) for run in runs)] for i, name in enumerate(runs[0].names)])


def fill(page: str, mark: str, text: str) -> str:
    """The page with `text` between `<!-- mark -->` and `<!-- end -->`."""
    place = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", re.DOTALL)
    filled, count = place.subn(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page)
    if count != 1:
        raise ValueError(f"{PAGE.name} holds {count} places for '{mark}'; it needs one: <!-- {mark} --> … <!-- end -->")
    return filled


def main() -> None:
    matplotlib.rcParams["svg.hashsalt"] = "tutorial"  # equal runs, equal figures
    learnt = {name: [kept_run(effect, seed) for seed in SEEDS] for name, effect in LEARNT.items()}
    hard = {name: [kept_run(effect, seed) for seed in SEEDS] for name, effect in HARD.items()}
    page = PAGE.read_text(encoding="utf-8")
    page = fill(page, "learnt", summary(learnt))
    page = fill(page, "hard", summary(hard))
    page = fill(page, "synth", synth())
    for name, runs in learnt.items():
        page = fill(page, f"errors of {name}", errors(runs))
        draw(runs, FIGURES / f"learn-{name.split()[-1].lower()}.svg")
    with replacing(PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
