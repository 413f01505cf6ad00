"""`blackbox-grad style train-encoder`."""

from __future__ import annotations

from typing import Annotated

import typer

from blackbox_grad.cli import HostOption, Hosts, Json, command_line, host_of, importing, print_json, say
from blackbox_grad_adapters.style_matching.commands.progress import decoding
from blackbox_grad_adapters.style_matching.commands.training_work import Output, Recordings, Seed, Wandb, kept, said


def train_encoder(
    output: Output,
    effect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EFFECT", help="Train on this effect; by default, on all with weights in the package. Repeatable."
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
    with kept() as work, weights_and_biases(wandb, output) as loggers, opened_host(host_of(host, hosts)) as rendering:
        blank = Encoder(network, latent=latent)
        with said(output):
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
