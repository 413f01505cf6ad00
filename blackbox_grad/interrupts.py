"""Ctrl-C and SIGTERM that wait for a safe place."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

#: signal -> the handler that a program has which has set none
_USUAL: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


@dataclass
class Interrupt:
    """Whether Ctrl-C was pressed, or SIGTERM came."""

    pressed: bool = False

    def check(self) -> None:
        """A safe place: raises `KeyboardInterrupt` if it was."""
        if self.pressed:
            raise KeyboardInterrupt


@contextlib.contextmanager
def deferred_interrupts(may_wait: Callable[[], bool] = lambda: True, into: Interrupt | None = None) -> Iterator[Interrupt]:
    """Inside the block Ctrl-C and SIGTERM only take effect where `Interrupt.check` is called, so that no work is cut off half-way.

    They take effect at once where `may_wait()` is False, and when they come again. Nothing is changed on other threads than the
    main one, nor for a signal that the program handles itself.
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
