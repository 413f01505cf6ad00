"""Ctrl-C and SIGTERM that wait for a safe place, and SIGTERM that cleans up as Ctrl-C does."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

#: signal -> its handler in a program that has set no handler
_USUAL: dict[signal.Signals, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived, which asks a program to end."""


@dataclass
class Interrupt:
    """Whether Ctrl-C or SIGTERM has arrived.

    Attributes:
        number: of the signal; 0 if none has arrived.
    """

    number: int = 0

    @property
    def pressed(self) -> bool:
        """Whether one has arrived."""
        return bool(self.number)

    @property
    def name(self) -> str:
        """For messages: "Ctrl-C" or "SIGTERM"."""
        return "SIGTERM" if self.number == signal.SIGTERM else "Ctrl-C"

    @property
    def exit_code(self) -> int:
        """Of a program that the signal ended: 130 or 143."""
        return 128 + (self.number or signal.SIGINT)

    def check(self) -> None:
        """Mark a safe place: raises `KeyboardInterrupt` if one has arrived; `Terminated` after SIGTERM."""
        if self.pressed:
            self.raise_now()

    def raise_now(self) -> None:
        raise Terminated if self.number == signal.SIGTERM else KeyboardInterrupt


class _Handler:
    """The signal handler of one block, which knows that of the block around it."""

    def __init__(self, interrupt: Interrupt, may_wait: Callable[[], bool], outer: Any) -> None:
        self.interrupt, self._may_wait = interrupt, may_wait
        self._outer = outer if isinstance(outer, _Handler) else None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        at_once = self.interrupt.pressed or not self._may_wait()
        self.note(number)
        if at_once:
            self.interrupt.raise_now()

    def note(self, number: int) -> None:
        """Here, and in the blocks around this one."""
        self.interrupt.number = number
        if self._outer is not None:
            self._outer.note(number)


@contextlib.contextmanager
def deferred_interrupts(may_wait: Callable[[], bool] = lambda: True, into: Interrupt | None = None) -> Iterator[Interrupt]:
    """Inside the block, Ctrl-C and SIGTERM take effect only at a call of `Interrupt.check`, so that no work is left half done.

    They take effect at once if `may_wait()` is False, and at the second time. Blocks may be nested: the inner one decides, and the
    outer ones know of it. Outside the main thread, and for a signal that the program handles itself, nothing changes.
    """
    interrupt = into or Interrupt()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number, usual in _USUAL.items():
            there = signal.getsignal(number)
            if there == usual or isinstance(there, _Handler):
                before[number] = there
                signal.signal(number, _Handler(interrupt, may_wait, there))
    try:
        yield interrupt
    finally:
        for number, there in before.items():
            signal.signal(number, there)


@contextlib.contextmanager
def raising_terminated() -> Iterator[None]:
    """Inside the block, SIGTERM raises `Terminated`: files that are half written are removed, and hosts end.

    Outside the main thread, and if the program handles SIGTERM itself, nothing changes.
    """
    usual = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if usual:
        signal.signal(signal.SIGTERM, _Handler(Interrupt(), lambda: False, None))
    try:
        yield
    finally:
        if usual:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
