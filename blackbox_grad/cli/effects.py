"""`blackbox-grad effects`: what is installed."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from itertools import groupby
from typing import Annotated

import typer

from blackbox_grad.cli.arguments import HostOption, Json
from blackbox_grad.cli.console import err, out, print_json, say, table
from blackbox_grad.effects.addresses import end_of
from blackbox_grad.errors import AddressError, suggest
from blackbox_grad.inspection.scanning import Scanned, scan


def effects(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORD]…", help="Only those with these words in their name, maker or address.", show_default=False
        ),
    ] = None,
    backend: Annotated[str | None, typer.Option(metavar="NAME", help="Only this backend.", show_default=False)] = None,
    check: Annotated[bool, typer.Option("--check", help="Open each one in a separate process, and report the result.")] = False,
    time_limit: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="For opening one effect.")] = 20.0,
    rescan: Annotated[bool, typer.Option("--rescan", help="With --check: ignore cached results.")] = False,
    host: HostOption = None,
    json: Json = False,
) -> None:
    """List the installed effects and instruments, or those with some words in their name. Without --check, none is opened.

    \b
    Examples:
      blackbox-grad effects
      blackbox-grad effects reverb
      blackbox-grad effects instrument
      blackbox-grad effects mda delay --json
      blackbox-grad effects --backend pedalboard --check
      blackbox-grad effects --json | jq -r '.[].address'
    """
    from blackbox_grad.effects.addresses import backend_names

    if backend is not None and backend not in backend_names():
        raise AddressError(f"no backend {backend!r}; {suggest(backend, backend_names())}")
    rows, word = [], " ".join(words or [])
    with err().status("Opening effects…") if check else contextlib.nullcontext() as status:
        for row in scan(check=check, time_limit=time_limit, rescan=rescan, backend=backend, host=host, word=word):
            rows.append(row)
            if status is not None:
                status.update(f"{len(rows)} opened, last {row.address}")
    if json:
        print_json([asdict(row) for row in rows])
    else:
        _print(rows, check, word)
    if word and not any(row.status != "unavailable" for row in rows):
        raise typer.Exit(1)


def _print(rows: list[Scanned], check: bool, word: str) -> None:
    for name, group in groupby(rows, key=lambda row: row.backend):
        listed = list(group)
        say((name, "bold"), *([] if listed[0].status == "unavailable" else [f"  {len(listed)}"]))
        makers = any(row.maker for row in listed)
        plays = ["kind"] * any(row.takes == "notes" for row in listed)
        columns = ["parameters", *plays, "note"] if check else ["maker"] * makers + plays
        made = table("address", "name", *columns, right=["parameters"])
        for row in listed:
            if row.status == "unavailable":
                say(("  " + row.reason, "yellow"))
                continue
            # a file or a class is named by its address
            own = "" if row.name == end_of(row.address.partition(":")[2]) and not check else row.name
            count = "" if row.parameters is None else str(row.parameters)
            kind = ["instrument" if row.takes == "notes" else ""] * len(plays)
            more = [count, *kind, row.reason.partition("\n")[0]] if check else [row.maker] * makers + kind
            made.add_row("  " + row.address, own, *more, style=_STYLES.get(row.status))
        if made.row_count:
            out().print(made)
        say("")
    failed = sum(row.status == "failed" for row in rows)
    total = sum(row.status != "unavailable" for row in rows)
    instruments = sum(row.takes == "notes" for row in rows)
    counts = [(total - instruments, "effect")] * (total > instruments or not total) + [(instruments, "instrument")] * bool(
        instruments
    )
    say(
        " and ".join(f"{count} {what}{'s' if count != 1 else ''}" for count, what in counts)
        + (f" with {word!r} in name, maker or address" if word else "")
        + (f", {failed} cannot be opened" if failed else "")
        + ("" if check or not total else "; --check opens them")
    )


_STYLES = {"failed": "red"}
