"""`blackbox-grad style train-encoder` and `train`."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blackbox_grad.cli import Address, HostOption, Hosts, Json, Set, err, host_of, out, print_json, say, table, values_of
from blackbox_grad_adapters.style_matching.commands.progress import decoding, telling

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.training.stage import OnEpoch

Output = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the run; continues a run there.")]
Recordings = Annotated[
    list[Path] | None,
    typer.Option(
        "--recordings",
        metavar="FOLDER",
        help="Train with the audio in it, not with the corpora. Repeatable.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="The same seed repeats a run.")]
Wandb = Annotated[
    str | None,
    typer.Option(
        metavar="PROJECT",
        help="Also log to Weights & Biases; needs wandb. TensorBoard always gets the log.",
        show_default=False,
    ),
]


def train_encoder(
    output: Output,
    effect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="Train on this effect; by default, on all with weights in the package. Repeatable."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(metavar="NAME", help="statistics, or paper: the original's network.")] = "statistics",
    latent: Annotated[int, typer.Option(min=1, metavar="N", help="Size of an embedding.")] = 128,
    pairs: Annotated[int, typer.Option(min=2, metavar="N", help="Pairs of recordings per effect.")] = 2048,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Passes through all pairs.")] = 12,
    beta: Annotated[float, typer.Option(min=0.0, help="Weight of the divergence.")] = 0.05,
    settings: Annotated[
        float, typer.Option(min=0.0, help="Weight of predicting settings from the latent; 0 for a plain VAE.")
    ] = 5.0,
    recordings: Recordings = None,
    seed: Seed = 0,
    host: HostOption = None,
    hosts: Hosts = None,
    wandb: Wandb = None,
    json: Json = False,
) -> None:
    """Train the encoder, which embeds the sound of recordings, on several effects.

    \b
    Examples:
      blackbox-grad style train-encoder -o runs/encoder
      blackbox-grad style train-encoder -o runs/mine --effect ZamTube.vst3 --effect ZamDelay.vst3 --recordings music/
    """
    from blackbox_grad_adapters.style_matching.networks import shipped
    from blackbox_grad_adapters.style_matching.training import run
    from blackbox_grad_adapters.style_matching.training.loggers import weights_and_biases

    with weights_and_biases(wandb, output) as loggers, _working(host_of(host, hosts)) as (rendering, on_epoch, on_progress):
        file, fitted = run.run_encoder(
            effect or shipped.EFFECTS,
            output,
            run.sides(recordings or [], on_progress=decoding),
            preset=preset,
            latent=latent,
            pairs=pairs,
            epochs=epochs,
            beta=beta,
            settings=settings,
            seed=seed,
            host=rendering,
            command=_command(),
            on_epoch=on_epoch,
            on_progress=on_progress,
            loggers=loggers,
        )
    best = fitted.best("validation/loss")
    if json:
        print_json({"encoder": str(file), "results": best, "interrupted": fitted.interrupted})
    else:
        for name in ("reconstruction", "divergence", "explained"):
            say(f"{name:<15}", f"{best.get(f'validation/{name}', float('nan')):.3f}")
        say(("encoder        ", "dim"), str(file))
    _end(fitted.interrupted)


def train(
    address: Address,
    output: Output,
    settings: Set = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Set this parameter and leave others at their defaults. Repeatable."),
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights of the encoder; by default the package's.", show_default=False)
    ] = None,
    preset: Annotated[str, typer.Option(metavar="NAME", help="small, or paper: the original's network.")] = "small",
    pairs: Annotated[int, typer.Option(min=2, metavar="N", help="Pairs to learn settings from.")] = 2048,
    settings_epochs: Annotated[int, typer.Option(min=0, metavar="N", help="Epochs of the first stage, on settings.")] = 12,
    audio_epochs: Annotated[int, typer.Option(min=0, metavar="N", help="Epochs of the second stage, on the sound.")] = 10,
    audio_steps: Annotated[int, typer.Option(min=1, metavar="N", help="Steps per epoch on the sound.")] = 20,
    recordings: Recordings = None,
    seed: Seed = 0,
    host: HostOption = None,
    hosts: Hosts = None,
    wandb: Wandb = None,
    examples: Annotated[int, typer.Option(min=0, metavar="N", help="Pairs to listen to in the report.")] = 3,
    json: Json = False,
) -> None:
    """Train a controller, which sets the effect at ADDRESS so that one recording sounds like another.

    With --set, all pairs have these settings, and defaults for the rest. Writes weights and a report to listen to.
    Ctrl-C ends it with the best so far.

    \b
    Examples:
      blackbox-grad style train pedalboard-builtin:Reverb -o runs/reverb
      blackbox-grad style train http://drobilla.net/plugins/mda/Delay -o runs/fixed --set 'FX Mix=0.6' --set 'L Delay=0.3'
      tensorboard --logdir runs
    """
    from blackbox_grad_adapters.style_matching.networks import shipped
    from blackbox_grad_adapters.style_matching.networks.controller import PRESETS
    from blackbox_grad_adapters.style_matching.report import write_run_report
    from blackbox_grad_adapters.style_matching.training import run
    from blackbox_grad_adapters.style_matching.training.controller_training import Plan
    from blackbox_grad_adapters.style_matching.training.loggers import weights_and_biases

    if preset not in PRESETS:
        raise typer.BadParameter(f"no controller {preset!r}; known are {', '.join(PRESETS)}")
    ears = shipped.encoder(encoder)
    plan = Plan(
        pairs=pairs,
        settings_epochs=settings_epochs,
        audio_epochs=audio_epochs,
        audio_steps=audio_steps,
        widths=PRESETS[preset],
        seed=seed,
    )
    with weights_and_biases(wandb, output) as loggers, _working(host_of(host, hosts)) as (rendering, on_epoch, on_progress):
        file, trained = run.run_controller(
            address,
            output,
            run.sides(recordings or [], ears.sample_rate, decoding),
            ears,
            plan,
            settings=values_of(settings) if settings else "random",
            parameters=only or "continuous",
            host=rendering,
            command=_command(),
            on_epoch=on_epoch,
            on_progress=on_progress,
            loggers=loggers,
        )
        report = output / "report.html"
        write_run_report(report, trained, _command(), examples)
    if json:
        print_json({"controller": str(file), "report": str(report), **trained.results, "interrupted": trained.interrupted})
    else:
        _print(trained.results)
        for name, path in (("controller", file), ("report", report)):
            say((f"{name:<11}", "dim"), str(path))
    _end(trained.interrupted)


def _print(results: dict[str, Any]) -> None:
    rows = table("parameter", "mean error", "explained", right=["mean error", "explained"])
    for name, error in results["error"].items():
        share = results.get("explained", {}).get(name)
        rows.add_row(name, f"{error:.3f}", "" if share is None else f"{share:.2f}")
    out().print(rows)
    say("")
    say("distance to the truth / that of the dry input: ", (f"{results['ratio']:.3f}", "bold green"))
    say(
        f"before the stage on the sound {results['ratio after settings']:.3f}, of the middle {results['ratio of the middle']:.3f}"
    )


def _end(interrupted: bool) -> None:
    if interrupted:
        say(("Stopped by Ctrl-C; this is the best so far. The same command continues.", "yellow"))
        raise typer.Exit(130)


def _command() -> str:
    return shlex.join(["blackbox-grad", *sys.argv[1:]])


@contextlib.contextmanager
def _working(host: str | None) -> Iterator[tuple[Any, OnEpoch, Callable[[str, int, int], None]]]:
    """A host, and functions that print the progress."""
    from blackbox_grad.hosts import opened_host

    def on_epoch(stage: str, row: dict[str, float]) -> None:
        shown = {name.partition("/")[2] or name: value for name, value in row.items() if not name.startswith("parameters/")}
        shown.pop("epoch")
        err().print(f"{stage} {row['epoch']:.0f}: " + ", ".join(f"{name} {value:.3g}" for name, value in shown.items()))

    def on_progress(name: str, done: int, total: int) -> None:
        telling(f"shards of pairs of {name}")(done, total)

    with opened_host(host) as rendering:
        yield rendering, on_epoch, on_progress
