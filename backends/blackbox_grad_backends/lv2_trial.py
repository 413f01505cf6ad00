"""LV2 plug-ins that hand work to a thread of the host are tried in a process of their own first, as some die of it.

DawDreamer recreates an LV2 plug-in for every render. If its worker is still at work then, the work is done on memory that is gone
(guitarix's `gx_amp`, `convoLV2`). Others say that they use a worker, and never die (most of `lsp-plugins-lv2`). Only trying tells.
One that only may use a worker, and dies, is tried again near its defaults: lsp's `art_delay_mono` dies of its own state at far
settings. One that loads files there is not: lsp's `impulse_reverb_mono` dies near its defaults too, though seldom. Nor is
one that makes MIDI of audio as well: lsp's `trigger_midi_mono` dies within a hundred renders. The results are remembered until the
plug-in's bundle changes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

from blackbox_grad.cache import JsonCache
from blackbox_grad.effects import file_stamp

#: Increases when the trial changes, so that what an older one found is not used.
_METHOD = 4

#: Seconds after which a trial is ended. It ends itself long before, but for an opening that is very slow.
TIME_LIMIT = 120.0

#: The program of a trial. It imports nothing from the working directory.
_PROGRAM = """
import sys
sys.path[:] = sys.argv[4:]
from blackbox_grad_backends import lv2_trial_program
lv2_trial_program.main()
"""


def fate(uri: str, sample_rate: float, gentle: bool = False) -> str:
    """What became of a plug-in in its trial, as the end of a sentence ("crashed (SIGSEGV)", "hung"); empty if it lived.

    Args:
        sample_rate: Hz.
        gentle: whether it is opened near its defaults (`native.corners.near_the_default`).
    """
    cache, file = JsonCache("lv2-trials"), file_stamp(f"dawdreamer:{uri}")
    stamp = file and f"{_METHOD} {file}"
    key = f"{uri} gently" if gentle else uri
    known = cache.get(key, stamp) if stamp else None
    if isinstance(known, str):
        return known
    found, lasting = _try(uri, sample_rate, gentle)
    if lasting and stamp:
        cache.put(key, stamp, found)
    return found


def _try(uri: str, sample_rate: float, gentle: bool) -> tuple[str, bool]:
    """The fate, and whether it is the plug-in's own: it may be slow because the machine is busy, or killed for want of memory."""
    path = [entry or os.getcwd() for entry in sys.path if isinstance(entry, str)]
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, uri, repr(sample_rate), str(int(gentle)), *path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIME_LIMIT,
            start_new_session=True,  # Ctrl-C in a terminal is for the parent, which ends it
        )
    except subprocess.TimeoutExpired:
        return f"was not done after {TIME_LIMIT:g} s", False
    if done.returncode >= 0:  # it lives, or opening it fails with an error, which will be raised here too
        return "", True
    number = -done.returncode
    if number == getattr(signal, "SIGALRM", None):  # a render or closing took too long: memory that is gone may hold a lock
        return "hung", True
    with contextlib.suppress(ValueError):
        return f"crashed ({signal.Signals(number).name})", number not in (signal.SIGKILL, signal.SIGTERM)
    return f"was ended by signal {number}", False
