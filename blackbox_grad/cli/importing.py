"""Ctrl-C and SIGTERM during imports. Imports next to nothing itself."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator


def _quit(number: int, *_: object) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"Stopped by %s.\n" % (b"SIGTERM" if number == signal.SIGTERM else b"Ctrl-C"))
    os._exit(128 + number)  # nothing is under way


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Inside the block, Ctrl-C and SIGTERM end the program at once: an import interrupted by one fails with errors of all kinds."""
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        there = signal.getsignal(number)
        if _is_usual(there):
            with contextlib.suppress(ValueError):  # not in the main thread
                signal.signal(number, _quit)
                before[number] = there
    try:
        yield
    finally:
        for number, there in before.items():
            signal.signal(number, there)


def _is_usual(handler: object) -> bool:
    """Whether it is none that the program has set itself."""
    return handler in (signal.default_int_handler, signal.SIG_DFL) or type(handler).__module__ == "blackbox_grad.interrupts"
