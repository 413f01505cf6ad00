"""`blackbox-grad style`: set an effect so that one recording sounds like another: match, train, evaluate, map, listen."""

from __future__ import annotations

import typer

from blackbox_grad_adapters.style_matching.commands import corpus, evaluate, latent, listen, match, train, train_encoder
from blackbox_grad_adapters.style_matching.commands.train_style_encoder import train_style_encoder

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Set an effect so that one recording sounds like another.")
app.add_typer(corpus.app, name="corpus")
app.command("train-encoder")(train_encoder.train_encoder)
app.command("train-style-encoder")(train_style_encoder)
app.command("train")(train.train)
app.command("match")(match.match)
app.command("evaluate")(evaluate.evaluate)
app.command("figures")(latent.figures)
app.command("map")(latent.map_)
app.add_typer(listen.app, name="listen")
