"""`blackbox-grad style train-style-encoder`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blackbox_grad.cli import Json, command_line, err, importing, print_json, say
from blackbox_grad.files import check_folder
from blackbox_grad_adapters.style_matching.commands.training_work import Output, Seed, Wandb, kept

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.training.style_data import Job

#: Shards of examples, each with 25 settings on two recordings, of each effect for training.
_SHARDS = 8

#: The name of the first phase, and seconds of one core for a shard and an epoch.
_EXAMPLES, _SHARD, _EPOCH = "shards of examples", 5.0, 4.0


def train_style_encoder(
    output: Output,
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Of the rendered examples, by default in the run's folder; kept and reused.",
            show_default=False,
        ),
    ] = None,
    effect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="Only effects of the list with this in their address. Repeatable.", show_default=False
        ),
    ] = None,
    shards: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Sets of 25 settings on two recordings, of each effect; 0: those that exist."),
    ] = _SHARDS,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Passes through all examples.")] = 40,
    latent: Annotated[int, typer.Option(min=1, metavar="N", help="Size of an embedding.")] = 128,
    seed: Seed = 0,
    wandb: Wandb = None,
    json: Json = False,
) -> None:
    """Train the style encoder, on the effects of its list that are installed: it renders examples first, then learns from them.

    \b
    Examples:
      blackbox-grad style train-style-encoder -o runs/style
      blackbox-grad style train-style-encoder -o runs/small --effect mda --shards 2
    """
    with importing():
        from blackbox_grad_adapters.style_matching.data.effect_list import listed
        from blackbox_grad_adapters.style_matching.training import style_data
        from blackbox_grad_adapters.style_matching.training.loggers import weights_and_biases
        from blackbox_grad_adapters.style_matching.training.remaining import Phase
        from blackbox_grad_adapters.style_matching.training.style_run import run_style_encoder
        from blackbox_grad_adapters.style_matching.training.style_training import StylePlan, StyleStage

    check_folder(output)
    place = output / "examples" if examples is None else examples
    effects = [row for row in listed() if not effect or any(part.lower() in row.address.lower() for part in effect)]

    with kept() as work, weights_and_biases(wandb, output) as loggers:

        def rendered(done: int, total: int, job: Job, cause: str) -> None:
            if cause:
                err().print(f"left out: {cause}")
            work.on_progress(_EXAMPLES, done, total)

        jobs = style_data.jobs(effects, shards, 0)
        work.ahead([Phase(_EXAMPLES, len(jobs), _SHARD), Phase(StyleStage.name, epochs, _EPOCH)])
        style_data.build(jobs, place, seed, rendered)
        file, fitted = run_style_encoder(
            effects,
            place,
            output,
            StylePlan(epochs=epochs, seed=seed),
            latent=latent,
            pool_seed=seed,
            command=command_line(),
            on_epoch=work.on_epoch,
            loggers=loggers,
        )
    best = fitted.best("validation/loss")
    if json:
        print_json({"encoder": str(file), "results": best, "interrupted": fitted.interrupted})
    else:
        for name in ("contrast", "recognised", "settings"):
            say(f"{name:<15}", f"{best.get(f'validation/{name}', float('nan')):.3f}")
        say(("encoder        ", "dim"), str(file))
    work.end()
