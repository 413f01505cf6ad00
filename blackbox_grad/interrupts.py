"""Ctrl-C and SIGTERM that wait for a safe place."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

#: signal -> its handler in a program that has set no handler
_USUAL: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


@dataclass
class Interrupt:
    """Whether Ctrl-C or SIGTERM has arrived."""

    pressed: bool = False

    def check(self) -> None:
        """Mark a safe place: raises `KeyboardInterrupt` if one has arrived."""
        if self.pressed:
            raise KeyboardInterrupt


@contextlib.contextmanager
def deferred_interrupts(may_wait: Callable[[], bool] = lambda: True, into: Interrupt | None = None) -> Iterator[Interrupt]:
    """Inside the block, Ctrl-C and SIGTERM take effect only at a call of `Interrupt.check`, so that no work is left half done.

    They take effect at once if `may_wait()` is False, and at the second time. Outside the main thread, and for a signal that the
    program handles itself, nothing changes.
    """
    interrupt = into or Interrupt()

    def handler(*_: object) -> None:
        if interrupt.pressed or not may_wait():
            raise KeyboardInterrupt
        interrupt.pressed = True

    on_main_thread = threading.current_thread() is threading.main_thread()
    ours = [number for number, usual in _USUAL.items() if on_main_thread and signal.getsignal(number) == usual]
    for number in ours:
        signal.signal(number, handler)
    try:
        yield interrupt
    finally:
        for number in ours:
            signal.signal(number, _USUAL[number])
