"""The commands of `blackbox-grad`."""

from __future__ import annotations

from typing import Annotated

import typer

import blackbox_grad
from blackbox_grad.cli.commands import Commands
from blackbox_grad.cli.console import say
from blackbox_grad.cli.demo import demo
from blackbox_grad.cli.effects import effects
from blackbox_grad.cli.inspect import inspect
from blackbox_grad.cli.match import match
from blackbox_grad.cli.render import render

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"blackbox-grad {blackbox_grad.__version__}")
        raise typer.Exit


@app.callback()
def blackbox(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Any audio plug-in as a differentiable torch module.

    `effects` lists what is installed, `inspect` shows an effect, `render` applies it, `match` finds its settings.
    """


for command in (effects, inspect, render, match, demo):
    app.command(command.__name__)(command)
