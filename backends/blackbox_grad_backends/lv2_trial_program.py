"""The trial of an LV2 plug-in: opens it, renders at random settings and closes it, a few times. A process of its own runs this."""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import time
from typing import Any

import numpy as np

from blackbox_grad.effects import accompanied, tune
from blackbox_grad_backends.dawdreamer_plugin import DawDreamerPluginBackend
from blackbox_grad_backends.native import lv2_bundles, render_method

#: Rounds of opening, rendering and closing; short and long renders of each. A tenth of the short ones where a worker is optional.
_ROUNDS, _SHORT, _LONG = 2, 200, 5

#: Rounds of one that has died and is opened gently, or that needs a worker: some die in one of a thousand renders.
_ROUNDS_OF_DOUBTFUL = 6

#: Seconds of rendering in each round, after which it goes on to the next: a slow plug-in has lived through enough by then.
_PATIENCE = 4.0

#: Seconds of the processor for measurements at opening, which nobody uses.
_MEASURING = 1.0

#: Seconds after which one short render, or closing, has hung: the system ends the process then (SIGALRM), whatever it waits for.
_HUNG = 30.0


def main() -> None:
    """`sys.argv` holds the URI, the sample rate in Hz, and 1 if the plug-in is opened gently."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG: it ends with its parent
    render_method.BUDGET = _MEASURING
    uri, sample_rate = sys.argv[1], float(sys.argv[2])
    plugin = lv2_bundles.description(uri)
    gentle = sys.argv[3] == "1"
    doubtful = gentle or (plugin is not None and (plugin.needs_worker or plugin.sends_midi))
    short = _SHORT if doubtful else _SHORT // 10
    backend = DawDreamerPluginBackend(tries=False)
    options: dict[str, Any] = {"gentle": gentle}
    rng = np.random.default_rng(0)
    for _ in range(_ROUNDS_OF_DOUBTFUL if doubtful else _ROUNDS):
        effect = backend.open(uri, sample_rate, options)
        options |= effect.learnt
        deadline = time.monotonic() + _PATIENCE
        for length in [512] * short + [8192] * _LONG:
            if time.monotonic() > deadline:
                break
            _end_after(_HUNG)
            audio = (0.1 * rng.standard_normal((2, length))).astype(np.float32)
            if effect.takes == "notes":
                audio = tune(length, 2, sample_rate)
            elif effect.beside:
                audio = accompanied(audio, sample_rate)
            effect.render(audio, rng.uniform(size=len(effect.parameters)))
        _end_after(_HUNG)
        effect.close()
        del effect
        gc.collect()
        _end_after(0.0)


def _end_after(seconds: float) -> None:
    """End this process then, unless it is called again; 0 for never."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
