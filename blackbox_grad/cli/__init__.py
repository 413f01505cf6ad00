"""The command line, `blackbox-grad`.

Exit codes: 0 done, 1 an error (one line on stderr says which), 2 wrong usage, 130 stopped by Ctrl-C,
143 by SIGTERM.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from blackbox_grad.cli.importing import importing
from blackbox_grad.dependencies import lazy_names, missing_dependency

if TYPE_CHECKING:
    from blackbox_grad.cli.arguments import Address as Address
    from blackbox_grad.cli.arguments import Amount as Amount
    from blackbox_grad.cli.arguments import EffectName as EffectName
    from blackbox_grad.cli.arguments import EffectPlace as EffectPlace
    from blackbox_grad.cli.arguments import HostOption as HostOption
    from blackbox_grad.cli.arguments import Hosts as Hosts
    from blackbox_grad.cli.arguments import InputName as InputName
    from blackbox_grad.cli.arguments import InputPlace as InputPlace
    from blackbox_grad.cli.arguments import Json as Json
    from blackbox_grad.cli.arguments import Options as Options
    from blackbox_grad.cli.arguments import Preset as Preset
    from blackbox_grad.cli.arguments import SavePreset as SavePreset
    from blackbox_grad.cli.arguments import Set as Set
    from blackbox_grad.cli.arguments import host_of as host_of
    from blackbox_grad.cli.arguments import options_of as options_of
    from blackbox_grad.cli.arguments import placed as placed
    from blackbox_grad.cli.arguments import selection_of as selection_of
    from blackbox_grad.cli.arguments import values_of as values_of
    from blackbox_grad.cli.console import complain as complain
    from blackbox_grad.cli.console import err as err
    from blackbox_grad.cli.console import out as out
    from blackbox_grad.cli.console import print_json as print_json
    from blackbox_grad.cli.console import say as say
    from blackbox_grad.cli.console import table as table
    from blackbox_grad.cli.console import warn as warn
    from blackbox_grad.cli.outputs import Outputs as Outputs
    from blackbox_grad.cli.outputs import attempted as attempted
    from blackbox_grad.cli.outputs import command_line as command_line
    from blackbox_grad.cli.outputs import refuse_overwriting as refuse_overwriting
    from blackbox_grad.cli.outputs import warn_of_clipping as warn_of_clipping
    from blackbox_grad.cli.progress import Shown as Shown
    from blackbox_grad.cli.progress import progress_bar as progress_bar

#: What adapters build their commands from. Loaded at first use, as typer and rich may not be installed.
_HOME = {
    "Address": "arguments",
    "Amount": "arguments",
    "EffectName": "arguments",
    "EffectPlace": "arguments",
    "HostOption": "arguments",
    "Hosts": "arguments",
    "host_of": "arguments",
    "InputName": "arguments",
    "InputPlace": "arguments",
    "Json": "arguments",
    "Options": "arguments",
    "Preset": "arguments",
    "SavePreset": "arguments",
    "Set": "arguments",
    "Outputs": "outputs",
    "attempted": "outputs",
    "command_line": "outputs",
    "complain": "console",
    "err": "console",
    "options_of": "arguments",
    "out": "console",
    "placed": "arguments",
    "print_json": "console",
    "refuse_overwriting": "outputs",
    "say": "console",
    "Shown": "progress",
    "progress_bar": "progress",
    "table": "console",
    "selection_of": "arguments",
    "values_of": "arguments",
    "warn": "console",
    "warn_of_clipping": "outputs",
}

__getattr__, __dir__, _names = lazy_names(__name__, _HOME)
__all__ = ["importing", "main", *_names]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line, `sys.argv` by default, and exit."""
    with contextlib.ExitStack() as starting:
        starting.enter_context(importing())
        try:
            from blackbox_grad.cli.ending import ending, prepare_streams

            prepare_streams()
            from blackbox_grad.cli.app import app
            from blackbox_grad.interrupts import raising_terminated
        except ImportError as error:
            library = (error.name or "").partition(".")[0]
            if library not in ("typer", "rich"):
                raise
            sys.exit(str(missing_dependency(error, "blackbox-grad")))
        with ending():
            starting.close()  # only here can Ctrl-C be an exception
            with raising_terminated():
                app(args=None if arguments is None else list(arguments), prog_name="blackbox-grad")
