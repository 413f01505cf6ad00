"""`blackbox-grad style train`."""

from __future__ import annotations

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
from blackbox_grad_adapters.style_matching.commands.progress import decoding
from blackbox_grad_adapters.style_matching.commands.training_work import Output, Recordings, Seed, Wandb, kept, said

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.data.pairs import Settings
    from blackbox_grad_adapters.style_matching.training.controller_training import Trained

#: What helps against learning nothing.
_NOTHING = (
    "Take more pairs (--preset standard or thorough, --pairs), more recordings (--recordings), or only parameters that are heard "
    "(--only audible). style match refuses these weights without --force"
)


def train(
    address: Address,
    output: Output,
    settings: Set = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="NAME",
            help="Set this parameter (or 'Gain *', or 'audible'); others keep their defaults. Repeatable.",
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
    """Train a controller, which sets an effect so that one recording sounds like another.

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
    with kept() as work, weights_and_biases(wandb, output) as loggers, opened_host(host_of(host, hosts)) as rendering:
        with said(output):
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
    if sentence := shipped.nothing_learnt(trained.results):
        warn(f"{sentence}. {_NOTHING}")
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
