"""`blackbox-grad effects`: what is installed."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from itertools import groupby
from typing import Annotated

import typer

from blackbox_grad.cli.arguments import HostOption, Json
from blackbox_grad.cli.console import err, out, print_json, say, table
from blackbox_grad.errors import AddressError, suggest
from blackbox_grad.inspection.scanning import Scanned, scan


def effects(
    backend: Annotated[str | None, typer.Option(metavar="NAME", help="Only this backend.", show_default=False)] = None,
    check: Annotated[bool, typer.Option("--check", help="Open each one in a separate process, and report the result.")] = False,
    time_limit: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="For opening one effect.")] = 20.0,
    rescan: Annotated[bool, typer.Option("--rescan", help="With --check: ignore cached results.")] = False,
    host: HostOption = None,
    json: Json = False,
) -> None:
    """List the installed effects, by backend. Without --check, no effect is opened.

    \b
    Examples:
      blackbox-grad effects
      blackbox-grad effects --backend pedalboard --check
      blackbox-grad effects --json | jq -r '.[].address'
    """
    from blackbox_grad.effects.addresses import backend_names

    if backend is not None and backend not in backend_names():
        raise AddressError(f"no backend {backend!r}; {suggest(backend, backend_names())}")
    rows = []
    with err().status("Opening effects…") if check else contextlib.nullcontext() as status:
        for row in scan(check=check, time_limit=time_limit, rescan=rescan, backend=backend, host=host):
            rows.append(row)
            if status is not None:
                status.update(f"{len(rows)} opened, last {row.address}")
    if json:
        print_json([asdict(row) for row in rows])
    else:
        _print(rows, check)


def _print(rows: list[Scanned], check: bool) -> None:
    for name, group in groupby(rows, key=lambda row: row.backend):
        listed = list(group)
        say((name, "bold"), *([] if listed[0].status == "unavailable" else [f"  {len(listed)}"]))
        made = table("address", "name", "parameters", "note", right=["parameters"]) if check else None
        for row in listed:
            if row.status == "unavailable":
                say(("  " + row.reason, "yellow"))
            elif made is None:
                say(f"  {row.address}")
            else:
                count = "" if row.parameters is None else str(row.parameters)
                made.add_row("  " + row.address, row.name, count, row.reason.partition("\n")[0], style=_STYLES.get(row.status))
        if made is not None and made.row_count:
            out().print(made)
        say("")
    failed = sum(row.status == "failed" for row in rows)
    total = sum(row.status != "unavailable" for row in rows)
    say(f"{total} effects" + (f", {failed} cannot be opened" if failed else "") + ("" if check else "; --check opens them"))


_STYLES = {"failed": "red"}
