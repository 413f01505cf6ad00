"""What the tests of hosts see of processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import blackbox_grad as bg


def faulty(name: str, **options: str) -> bg.EffectSpec:
    return bg.EffectSpec.of(f"faulty:{name}", **options)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def hosts_of(pid: int) -> list[int]:
    """Host processes that a process has started on any thread, without ended ones that were not yet waited for."""
    found = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return [child for child in found if "worker.main()" in Path(f"/proc/{child}/cmdline").read_text()]


def alive(pid: int) -> bool:
    return state(pid) not in ("Z", "")


def state(pid: int) -> str:
    """R, S, T (stopped), Z, …; "" if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_until(condition, seconds: float = 100.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


SCRIPT = """
import sys, time, threading, os, numpy as np, blackbox_grad as bg
sys.path.append({third_party!r})
pool = bg.ProcessPool(hosts=2, time_limit=60)
x = np.zeros((4, 1, 64), np.float32)
spec = bg.EffectSpec.of({address!r})
pool.open(spec)
pool.render_batch(spec, x, np.zeros((4, 1)))
print("ready", flush=True)
{then}
"""


def start(third_party: str, address: str, then: str, script: str = SCRIPT) -> subprocess.Popen[str]:
    """A program with a pool of two hosts, after its line "ready"."""
    source = script.format(third_party=third_party, address=address, then=textwrap.dedent(then))
    command = [sys.executable, "-c", source]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process
