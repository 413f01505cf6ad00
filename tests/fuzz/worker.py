"""Runs command lines one after the other in this process, and prints one JSON line for each that breaks the law.

The law: a command ends with exit code 0, 1 or 2. After 1, one line on stderr begins with "Error:". Nothing is unexpected, and
nothing takes longer than the limit.

Arguments: pairs of a kind and a seed. A line "now KIND SEED" comes before each, so that a crash is known too.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import commands

#: Seconds for one command.
LIMIT = 60


class Late(BaseException):
    pass


def late(*_: object) -> None:
    raise Late


def broken(name: str, seed: int) -> str:
    """What is wrong; empty if the law holds."""
    from blackbox_grad.cli import main

    usual, here = (sys.stdout, sys.stderr), os.getcwd()
    content = io.BytesIO(), io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        command = commands.prepared(name, seed, Path(folder))
        streams = [io.TextIOWrapper(part, "utf-8", write_through=True) for part in content]
        sys.stdout, sys.stderr = streams
        signal.alarm(LIMIT)
        try:
            main(command)
        except SystemExit as end:
            code: object = 0 if end.code is None else end.code
        except Late:
            code = f"no end within {LIMIT} s"
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
            sys.stdout, sys.stderr = usual
            os.chdir(here)
    said = content[1].getvalue().decode("utf-8", "replace")
    lines = said.splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    if code not in (0, 1, 2):
        return f"{command}: {code}"
    if "unexpected " in said or "Traceback" in said:
        return f"{command}: {said[-600:]}"
    if code == 1 and len(errors) != 1:
        return f"{command}: {len(errors)} errors: {said[-600:]}"
    if code == 0 and errors:
        return f"{command}: exit code 0 with {errors}"
    return ""


def main() -> None:
    signal.signal(signal.SIGALRM, late)
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for name, seed in zip(sys.argv[1::2], map(int, sys.argv[2::2]), strict=True):
        print(f"now {name} {seed}", file=report, flush=True)
        if what := broken(name, seed):
            print(json.dumps({"kind": name, "seed": seed, "what": what}), file=report, flush=True)
    print("done", file=report, flush=True)


if __name__ == "__main__":
    main()
