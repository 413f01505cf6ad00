"""Ctrl-C that waits for a safe place."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


@contextlib.contextmanager
def _deferred_interrupt(has_result: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Ctrl-C takes effect where the yielded function is called next, so that no host is cut off in the middle of its work.

    At once where there is no result yet, or when it is pressed again. Elsewhere than on the main thread, or where the program has a
    handler of its own, nothing is changed.
    """
    ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    pressed = False

    def handler(*_: object) -> None:
        nonlocal pressed
        if pressed or not has_result():
            raise KeyboardInterrupt
        pressed = True

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    if ours:
        signal.signal(signal.SIGINT, handler)
    try:
        yield check
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def interrupts_wait() -> Iterator[None]:
    """A Ctrl-C inside the block is obeyed at its end, so that results are written; the second one is obeyed at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.getsignal(signal.SIGINT)
    pressed = False

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if pressed:
        raise KeyboardInterrupt
