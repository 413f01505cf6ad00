"""The command line, `blackbox-grad`.

Exit codes: 0 done, 1 an error (one line on stderr says which), 2 wrong usage, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line, `sys.argv` by default, and exit."""
    try:
        from blackbox_grad.cli.app import app
    except ImportError as error:
        library = (error.name or "").partition(".")[0]
        if library not in ("typer", "rich"):
            raise
        from blackbox_grad.dependencies import missing_dependency

        sys.exit(str(missing_dependency(error, "blackbox-grad")))
    app(args=None if arguments is None else list(arguments), prog_name="blackbox-grad")
