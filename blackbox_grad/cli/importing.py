"""Ctrl-C during imports. Imports next to nothing itself."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator


def _quit(*_: object) -> None:
    os._exit(128 + signal.SIGINT)  # nothing is under way


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Inside the block, Ctrl-C ends the program at once: an import that it interrupts fails with errors of all kinds."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:
        try:
            signal.signal(signal.SIGINT, _quit)
        except ValueError:  # not in the main thread
            usual = False
    try:
        yield
    finally:
        if usual:
            signal.signal(signal.SIGINT, signal.default_int_handler)
