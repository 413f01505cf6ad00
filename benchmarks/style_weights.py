"""Make the weights that come with the package: the encoder, then the controllers. Stopped, it goes on when called again.

    python benchmarks/style_weights.py --runs runs/style-weights

Each file's header says from which recordings, seed and versions it was made, how long that took and what came of it.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
from pathlib import Path

import torch

from blackbox_grad import ProcessPool
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad_adapters.style_matching import run, shipped
from blackbox_grad_adapters.style_matching.controller_training import Plan
from blackbox_grad_adapters.style_matching.report import write_run_report

COMMAND = "make style-weights"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/style-weights"), help="folder of checkpoints")
    parser.add_argument("--effects", nargs="+", default=shipped.EFFECTS, help="controllers to make; the encoder hears all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    plan = Plan(pairs=3072, sounds=768, judged=64, settings_epochs=12, audio_epochs=12, audio_steps=40, audio_rate=5e-4)
    tracks = run.sides([])
    shipped.FOLDER.mkdir(exist_ok=True)
    with contextlib.closing(ProcessPool(1)) as host:
        common = {"host": host, "command": COMMAND, "on_epoch": tell}
        folder = arguments.runs / "encoder"
        if not (folder / shipped.ENCODER).exists():
            run.run_encoder(shipped.EFFECTS, folder, tracks, pairs=6144, **common)
        shutil.copy(folder / shipped.ENCODER, shipped.FOLDER / shipped.ENCODER)
        encoder = shipped.encoder()
        for address in arguments.effects:
            folder = arguments.runs / shipped.file_of(address).stem
            if not (folder / shipped.CONTROLLER).exists():
                print(address, flush=True)
                try:
                    _, trained = run.run_controller(address, folder, tracks, encoder, plan, **common)
                except BlackboxGradError as error:
                    print(f"left out: {error}", flush=True)
                    continue
                write_run_report(folder / "report.html", trained, COMMAND)
                print(trained.results, flush=True)
            shutil.copy(folder / shipped.CONTROLLER, shipped.file_of(address))


def tell(stage: str, row: dict[str, float]) -> None:
    values = ", ".join(
        f"{name} {value:.3g}" for name, value in row.items() if "/" in name and not name.startswith("parameters")
    )
    print(f"{stage} {row['epoch']:.0f}, {row['seconds']:.0f} s: {values}", flush=True)


if __name__ == "__main__":
    main()
