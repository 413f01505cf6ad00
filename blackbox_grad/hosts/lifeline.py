"""A line from a parent to its host, which the kernel pulls when the parent ends: the host dies at once, even hung or stopped.

It is a pipe. The parent holds the only writing end, and the system closes it with the parent, however that ends. The kernel then
sends the signal that `fcntl` has set for the pipe: SIGKILL. Nothing in the host has to run for that: native code may have locked
its interpreter, and it may be stopped. Unlike with PR_SET_PDEATHSIG, the thread that started the host may end.

Where the system cannot do this (macOS), a thread of the host watches its parent.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import weakref


class Lifeline:
    """The parent's end.

    Attributes:
        reading: the end for the host to inherit.
    """

    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        self._close_reading = weakref.finalize(self, os.close, self.reading)
        self._close_writing = weakref.finalize(self, os.close, writing)
        self._close_reading.atexit = self._close_writing.atexit = False  # the system does it, when the hosts have ended
        _lines.add(self)

    def tie(self, host: int) -> None:
        """Tie the host, which has inherited the reading end, to this process."""
        _tie(self.reading, host)
        self._close_reading()

    def cut(self) -> None:
        """Let go of both ends."""
        self._close_reading()
        self._close_writing()


def end_with_parent(reading: int) -> None:
    """In another process than a host: end it as soon as its parent ends, which holds the only writing end of this pipe."""
    _tie(reading, os.getpid())
    if select.select([reading], [], [], 0)[0]:  # that was too late
        os.kill(os.getpid(), signal.SIGKILL)


def _tie(reading: int, process: int) -> None:
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(reading, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(reading, fcntl.F_SETOWN, process)
        fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_ASYNC)


_lines: weakref.WeakSet[Lifeline] = weakref.WeakSet()


def _cut_all() -> None:
    """In a forked child: the hosts belong to the parent, and must end with it though the child lives on."""
    for line in tuple(_lines):
        line.cut()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_cut_all)


def offer_to_the_memory_killer(host: int) -> None:
    """Where memory runs out, the system ends a host first, and the training survives."""
    with contextlib.suppress(OSError, ValueError):
        path = f"/proc/{host}/oom_score_adj"
        with open(path) as file:
            score = int(file.read())
        with open(path, "w") as file:
            file.write(str(min(1000, score + 500)))
