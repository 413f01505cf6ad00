"""The group of commands. It imports an adapter's command when it is called, and reports an error in one line and an exit code."""

from __future__ import annotations

import ast
import functools
import importlib.util
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from blackbox_grad.cli.console import warn
from blackbox_grad.cli.ending import ending
from blackbox_grad.cli.importing import importing
from blackbox_grad.dependencies import entry_points_of, missing_dependency
from blackbox_grad.errors import BlackboxGradError

#: Adapters register a `typer.Typer` or a function here, under the command's name.
GROUP = "blackbox_grad.commands"

#: What typer itself turns into a message and an exit code.
_OF_TYPER = (typer.Exit, typer.Abort, *(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"))


class Commands(TyperGroup):
    """Built-in commands, and those of the entry-point group `blackbox_grad.commands`."""

    def list_commands(self, ctx: Any) -> list[str]:
        own = list(self.commands)
        return own + sorted(set(_registered()) - set(own))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """For help and completion: names an adapter's command without importing it."""
        entry = None if cmd_name in self.commands else _registered().get(cmd_name)
        return super().get_command(ctx, cmd_name) if entry is None else _placeholder(entry)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        entry = None if args[0] in self.commands else _registered().get(args[0])
        if entry is not None and args[0] not in self.commands:
            self.add_command(_imported(entry), args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with ending(_OF_TYPER), warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: warn(str(message))
            try:
                return super().invoke(ctx)
            except typer.BadParameter as error:
                error.message = _plainly(error)
                raise


def _plainly(error: typer.BadParameter) -> str:
    """The message with the value that was given: "Input should be greater than 0" names none."""
    rule = error.message.removeprefix("Input should be ")
    problems = getattr(error.__cause__, "errors", None)
    if rule == error.message or problems is None:
        return error.message
    for long, short in (("greater than or equal to", "at least"), ("less than or equal to", "at most")):
        rule = rule.replace(long, short)
    return f"{problems()[0]['input']!r} must be {rule}"


@functools.cache
def _registered() -> dict[str, EntryPoint]:
    return entry_points_of(GROUP)


def _placeholder(entry: EntryPoint) -> Any:
    origin = entry.dist.name if entry.dist is not None else entry.module
    text = _first_line(entry.module) if origin == "blackbox-grad" else ""
    return typer.main.get_command(_single(entry.name, lambda: None, text or f"From {origin}; see its --help."))


def _first_line(module: str) -> str:
    """What a module's docstring says about itself, read without running the module."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8"))) or ""
    said = docstring.partition("\n")[0].partition(": ")[2]
    return said[:1].upper() + said[1:]


def _imported(entry: EntryPoint) -> Any:
    try:
        with importing():
            command = entry.load()
    except ImportError as error:
        raise missing_dependency(error, f"the command {entry.name!r}", next(iter(entry.extras), "")) from error
    except Exception as error:
        raise BlackboxGradError(f"the command {entry.name!r} ({entry.value}) fails to load: {error}") from error
    return typer.main.get_command(command if isinstance(command, typer.Typer) else _single(entry.name, command))


def _single(name: str, function: Any, text: str | None = None) -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command(name, help=text)(function)
    return app
