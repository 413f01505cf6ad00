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
    complain,
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
from blackbox_grad.interrupts import Interrupt, deferred_interrupts
from blackbox_grad_adapters.style_matching.commands.progress import Report, decoding

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.data.pairs import Settings
    from blackbox_grad_adapters.style_matching.training.checks import Ready
    from blackbox_grad_adapters.style_matching.training.controller_training import Trained

Output = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the run; continues a run there.")]
Recordings = Annotated[
    list[Path] | None,
    typer.Option(
        "--recordings",
        metavar="FOLDER",
        help="Train with the audio in this folder, or with this file, not with the corpora. Repeatable.",
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


#: What helps against learning nothing.
_NOTHING = (
    "Take more pairs (--preset standard or thorough, --pairs), more recordings (--recordings), or only parameters that are heard "
    "(--only audible). style match refuses these weights without --force"
)


def train_encoder(
    output: Output,
    effect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="Train on this effect; by default, on all with weights in the package. Repeatable."
        ),
    ] = None,
    network: Annotated[str, typer.Option(metavar="NAME", help="statistics, or paper: the original's.")] = "statistics",
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
        from blackbox_grad_adapters.style_matching.networks.encoder import PRESETS, Encoder
        from blackbox_grad_adapters.style_matching.training import checks, run
        from blackbox_grad_adapters.style_matching.training.loggers import weights_and_biases

    if network not in PRESETS:
        raise typer.BadParameter(f"no encoder {network!r}; known are {', '.join(PRESETS)}")
    effects = effect or shipped.EFFECTS
    with _kept() as work, weights_and_biases(wandb, output) as loggers, opened_host(host_of(host, hosts)) as rendering:
        blank = Encoder(network, latent=latent)
        with _said(output):
            ready = checks.encoder_ready(
                effects,
                output,
                recordings or [],
                blank,
                pairs=pairs,
                epochs=epochs,
                seed=seed,
                host=rendering,
                on_progress=decoding,
            )
        work.begin(ready, f"{len(effects)} effects, {pairs} pairs of each, {epochs} epochs")
        file, fitted = run.run_encoder(
            effects,
            output,
            ready.tracks,
            preset=network,
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
    preset: Annotated[
        str, typer.Option(metavar="NAME", help="How much of everything: quick (for some 5 minutes), standard or thorough.")
    ] = "standard",
    network: Annotated[str, typer.Option(metavar="NAME", help="small, or paper: the original's.")] = "small",
    pairs: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Pairs to learn settings from.", show_default=False)
    ] = None,
    settings_epochs: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Epochs of the first stage, on settings.", show_default=False)
    ] = None,
    audio_epochs: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Epochs of the second stage, on the sound.", show_default=False)
    ] = None,
    audio_steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Steps per epoch on the sound.", show_default=False)
    ] = None,
    recordings: Recordings = None,
    seed: Seed = 0,
    host: HostOption = None,
    hosts: Hosts = None,
    wandb: Wandb = None,
    examples: Annotated[int, typer.Option(min=0, metavar="N", help="Pairs to listen to in the report.")] = 3,
    json: Json = False,
) -> None:
    """Train a controller, which sets the effect at ADDRESS so that one recording sounds like another.

    First it checks everything that it needs, and says how long it will take. With --set, all pairs have these settings, and
    defaults for the rest. Writes weights and a report to listen to. Ctrl-C ends it with the best so far.

    \b
    Examples:
      blackbox-grad style train pedalboard-builtin:Reverb -o runs/quick --preset quick --recordings guitar.wav
      blackbox-grad style train pedalboard-builtin:Reverb -o runs/reverb
      blackbox-grad style train http://drobilla.net/plugins/mda/Delay -o runs/fixed --set 'FX Mix=0.6' --set 'L Delay=0.3'
      tensorboard --logdir runs
    """
    with importing():
        from blackbox_grad.hosts import opened_host
        from blackbox_grad_adapters.style_matching.networks import shipped
        from blackbox_grad_adapters.style_matching.networks.controller import PRESETS as NETWORKS
        from blackbox_grad_adapters.style_matching.report import write_run_report
        from blackbox_grad_adapters.style_matching.training import checks, run
        from blackbox_grad_adapters.style_matching.training.loggers import weights_and_biases
        from blackbox_grad_adapters.style_matching.training.presets import PRESETS, planned

    for name, known, what in ((preset, PRESETS, "preset"), (network, NETWORKS, "network")):
        if name not in known:
            raise typer.BadParameter(f"no {what} {name!r}; known are {', '.join(known)}")
    counts = {"pairs": pairs, "settings_epochs": settings_epochs, "audio_epochs": audio_epochs, "audio_steps": audio_steps}
    plan = planned(preset, widths=NETWORKS[network], seed=seed, **counts)
    wanted: Settings = values_of(settings) if settings else "random"
    chosen = selection_of(only, "continuous")
    with _kept() as work, weights_and_biases(wandb, output) as loggers, opened_host(host_of(host, hosts)) as rendering:
        with _said(output):
            ready = checks.controller_ready(
                address,
                output,
                recordings or [],
                plan,
                encoder=encoder,
                settings=wanted,
                parameters=chosen,
                host=rendering,
                on_progress=decoding,
            )
        work.begin(
            ready,
            f"{plan.pairs} + {4 * plan.judged} pairs, {plan.settings_epochs} epochs on settings, at most {plan.audio_epochs} on "
            "the sound",
        )
        file, trained = run.run_controller(
            address,
            output,
            ready.tracks,
            ready.encoder,
            plan,
            settings=wanted,
            parameters=chosen,
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
    if said := shipped.nothing_learnt(trained.results):
        warn(f"{said}. {_NOTHING}")
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
        self._report = Report()
        self.found = False

    def begin(self, ready: Ready, what: str) -> None:
        """Say what is ahead, and how long it takes."""
        from blackbox_grad_adapters.style_matching.training import remaining

        for address, names in ready.unheard.items():
            if names:
                err().print(
                    f"{address}: not heard in trials: {', '.join(names)}. What is not heard is not learnt; --only names the others",
                    soft_wrap=True,
                )
        err().print(
            f"{what}: about {remaining.in_words(ready.seconds)} here, as measured on a few pairs and steps; "
            f"{ready.bytes / 1e9:.1f} GB on disk",
            soft_wrap=True,
        )
        self._report = Report(remaining.Remaining(ready.phases))

    def on_epoch(self, stage: str, row: dict[str, float]) -> None:
        self.found = True
        shown = {name.partition("/")[2] or name: value for name, value in row.items() if not name.startswith("parameters/")}
        epoch = round(shown.pop("epoch")) + 1
        self._report(stage, epoch, ", ".join(f"{name} {value:.3g}" for name, value in shown.items()))

    def on_progress(self, name: str, done: int, total: int) -> None:
        self._report(name, done)
        self._interrupt.check()

    def end(self) -> None:
        """Exit with the code of the signal, if there was one."""
        if self._interrupt.pressed:
            say((f"Stopped by {self._interrupt.name}; this is the best so far. The same command continues.", "yellow"))
            raise typer.Exit(self._interrupt.exit_code)


@contextlib.contextmanager
def _said(output: Path) -> Iterator[None]:
    """Inside the block, everything that a run lacks is said line by line, and ends the command."""
    from blackbox_grad_adapters.style_matching.training.checks import NotReadyError

    try:
        yield
    except NotReadyError as error:
        if len(error.problems) > 1:
            err().print(f"{output}: the training cannot begin; {len(error.problems)} things are missing:", soft_wrap=True)
        for problem in error.problems:
            complain(problem)
        raise typer.Exit(1) from None


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
