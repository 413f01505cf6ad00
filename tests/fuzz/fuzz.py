"""`make fuzz`: new seeds for the command lines of commands.py, until the time is over.

Prints a line "KIND SEED" for each that breaks the law of worker.py; it belongs into seeds.txt with the fix.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import commands

SEEDS = Path(__file__).with_name("seeds.txt")


def kept() -> list[tuple[str, int]]:
    """The seeds that once broke something, and some more: kind and seed."""
    lines = [line.partition("#")[0].split() for line in SEEDS.read_text("utf-8").splitlines()]
    return [(kind, int(seed)) for kind, *seeds in filter(None, lines) for seed in seeds]


def run(pairs: list[tuple[str, int]], timeout: float | None = None) -> list[dict[str, object]]:
    """What breaks the law. A crash of the process ends a run, and is one of these."""
    failures: list[dict[str, object]] = []
    left = list(pairs)
    while left:
        arguments = [text for kind, seed in left for text in (kind, str(seed))]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SEEDS.parent)}
        command = [sys.executable, str(SEEDS.with_name("worker.py")), *arguments]
        done = subprocess.run(command, capture_output=True, env=environment, timeout=timeout, check=False)
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        failures += [json.loads(line) for line in lines if line.startswith("{")]
        begun = [line.split()[1:] for line in lines if line.startswith("now ")]
        if "done" in lines[-1:]:
            break
        if not begun:
            raise RuntimeError(done.stderr.decode("utf-8", "replace")[-2000:])
        kind, seed = begun[-1]
        said = done.stderr.decode("utf-8", "replace")[-600:]
        failures.append({"kind": kind, "seed": int(seed), "what": f"the process ended with {done.returncode}: {said}"})
        left = left[len(begun) :]
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long to look for new failures")
    parser.add_argument("--start", type=int, default=None, help="the first seed; a new one each time by default")
    parser.add_argument("--kind", choices=sorted(commands.COMMANDS), action="append", help="only this kind; repeatable")
    arguments = parser.parse_args()
    kinds = arguments.kind or sorted(commands.COMMANDS)
    start = int(time.time()) if arguments.start is None else arguments.start
    end, seed, count, found = time.monotonic() + arguments.seconds, start, 0, 0
    while time.monotonic() < end:
        pairs = [(kind, s) for s in range(seed, seed + 20) for kind in kinds]
        for failure in run(pairs):
            found += 1
            print(f"{failure['kind']} {failure['seed']}  # {failure['what']}", flush=True)
        seed, count = seed + 20, count + len(pairs)
    print(f"{count} command lines from seed {start} on: {found} broke the law", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
