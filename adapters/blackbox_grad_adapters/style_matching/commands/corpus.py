"""`blackbox-grad style corpus`: recordings to train and evaluate with."""

from __future__ import annotations

from typing import Annotated

import typer

from blackbox_grad.cli import Json, err, out, print_json, say, table
from blackbox_grad_adapters.style_matching.data.corpora import CORPORA, corpus, recordings_folder

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Recordings to train and evaluate with.")


@app.command("list")
def list_(json: Json = False) -> None:
    """List the corpora, their purpose, and whether they are here."""
    if json:
        fields = ("package", "kind", "side", "description", "megabytes", "present")
        print_json([{**{f: getattr(c, f) for f in fields}, "folder": str(c.folder)} for c in CORPORA])
        return
    rows = table("corpus", "for", "kind", "what", "download", "here", right=["download"], whole=["corpus"])
    for c in CORPORA:
        rows.add_row(c.package, c.side, c.kind, c.description, f"{c.megabytes} MB", "yes" if c.present else "no")
    out().print(rows)
    say(f"\nin {recordings_folder()}")


@app.command()
def get(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Corpora to fetch; all by default.", show_default=False)
    ] = None,
) -> None:
    """Fetch corpora from Debian's packages into the cache. Needs apt-get and a network, but not root.

    \b
    Examples:
      blackbox-grad style corpus get
      blackbox-grad style corpus get fillets-ng-data-cs singularity-music
    """
    for c in [corpus(name) for name in names] if names else CORPORA:
        if not c.present:
            with err().status(f"{c.package}: {c.megabytes} MB"):
                c.fetch()
        say(f"{c.package}  {c.folder}")
