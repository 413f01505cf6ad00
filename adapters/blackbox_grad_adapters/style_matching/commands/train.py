"""`blackbox-grad style train-encoder` and `train`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blackbox_grad.cli import (
    Address,
    HostOption,
    Hosts,
    Json,
    Set,
    attempted,
    command_line,
    err,
    host_of,
    importing,
    out,
    print_json,
    say,
    selection_of,
    table,
    values_of,
    warn,
)
from blackbox_grad.files import check_folder
from blackbox_grad.interrupts import Interrupt, deferred_interrupts
from blackbox_grad_adapters.style_matching.commands.progress import decoding, telling

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.training.controller_training import Trained

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
    with importing():
        from blackbox_grad.hosts import opened_host
        from blackbox_grad_adapters.style_matching.networks import shipped
        from blackbox_grad_adapters.style_matching.training import run
        from blackbox_grad_adapters.style_matching.training.loggers import weights_and_biases

    check_folder(output)
    with _kept() as work, weights_and_biases(wandb, output) as loggers, opened_host(host_of(host, hosts)) as rendering:
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
            command=command_line(),
            on_epoch=work.on_epoch,
            on_progress=work.on_progress,
            loggers=loggers,
        )
    best = fitted.best("validation/loss")
    if json:
        print_json({"encoder": str(file), "results": best, "interrupted": fitted.interrupted})
    else:
        for name in ("reconstruction", "divergence", "explained"):
            say(f"{name:<15}", f"{best.get(f'validation/{name}', float('nan')):.3f}")
        say(("encoder        ", "dim"), str(file))
    work.end()


def train(
    address: Address,
    output: Output,
    settings: Set = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="NAME",
            help="Set this parameter (or pattern: 'Gain *') and leave others at their defaults. Repeatable.",
        ),
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
    with importing():
        from blackbox_grad.hosts import opened_host
        from blackbox_grad_adapters.style_matching.networks import shipped
        from blackbox_grad_adapters.style_matching.networks.controller import PRESETS
        from blackbox_grad_adapters.style_matching.report import write_run_report
        from blackbox_grad_adapters.style_matching.training import run
        from blackbox_grad_adapters.style_matching.training.controller_training import Plan
        from blackbox_grad_adapters.style_matching.training.loggers import weights_and_biases

    check_folder(output)
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
    with _kept() as work, weights_and_biases(wandb, output) as loggers, opened_host(host_of(host, hosts)) as rendering:
        file, trained = run.run_controller(
            address,
            output,
            run.sides(recordings or [], ears.sample_rate, decoding),
            ears,
            plan,
            settings=values_of(settings) if settings else "random",
            parameters=selection_of(only, "continuous"),
            host=rendering,
            command=command_line(),
            on_epoch=work.on_epoch,
            on_progress=work.on_progress,
            loggers=loggers,
        )
        report = output / "report.html"
        whole = attempted(report, lambda path: write_run_report(path, trained, command_line(), examples))
    if json:
        files = {"controller": str(file), "report": str(report) if whole else None}
        print_json({**files, **trained.results, "interrupted": trained.interrupted})
    else:
        _print(trained)
        for name, path in (("controller", file), ("report", report)):
            if path != report or whole:
                say((f"{name:<11}", "dim"), str(path))
    work.end()
    if not whole:
        raise typer.Exit(1)


def _print(trained: Trained) -> None:
    results = trained.results
    texts = trained.path.effect.parameter_space.to_text(trained.examples["p"][0].double().numpy()) if trained.fixed else {}
    columns = ("parameter", *(["setting of all pairs"] if texts else []), "mean error", "explained")
    rows = table(*columns, right=["mean error", "explained"])
    for name, error in results["error"].items():
        share = results.get("explained", {}).get(name)
        rows.add_row(name, *([texts[name]] if texts else []), f"{error:.3f}", "" if share is None else f"{share:.2f}")
    out().print(rows)
    say("")
    say("distance to the truth / that of the dry input: ", (f"{results['ratio']:.3f}", "bold green"))
    say(
        f"before the stage on the sound {results['ratio after settings']:.3f}, of the middle {results['ratio of the middle']:.3f}"
    )


class _Work:
    """A training that is under way: its progress, and whether a signal has ended it."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt
        self.found = False

    def on_epoch(self, stage: str, row: dict[str, float]) -> None:
        self.found = True
        shown = {name.partition("/")[2] or name: value for name, value in row.items() if not name.startswith("parameters/")}
        shown.pop("epoch")
        err().print(f"{stage} {row['epoch']:.0f}: " + ", ".join(f"{name} {value:.3g}" for name, value in shown.items()))

    def on_progress(self, name: str, done: int, total: int) -> None:
        telling(f"shards of pairs of {name}")(done, total)
        self._interrupt.check()

    def end(self) -> None:
        """Exit with the code of the signal, if there was one."""
        if self._interrupt.pressed:
            say((f"Stopped by {self._interrupt.name}; this is the best so far. The same command continues.", "yellow"))
            raise typer.Exit(self._interrupt.exit_code)


@contextlib.contextmanager
def _kept() -> Iterator[_Work]:
    """Inside the block, Ctrl-C and SIGTERM wait until the files are there, from the first epoch on."""
    interrupt = Interrupt()
    work = _Work(interrupt)
    try:
        with deferred_interrupts(lambda: work.found, interrupt):
            yield work
    except KeyboardInterrupt:
        warn(f"stopped by {interrupt.name}; the same command continues")
        raise typer.Exit(interrupt.exit_code) from None
