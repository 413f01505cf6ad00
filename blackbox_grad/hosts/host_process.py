"""The parent's end of one host process: starts it, talks to it, ends it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Pipe
from multiprocessing.reduction import send_handle
from typing import Any

from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.hosts.messages import Attach, Detach, Introduce, Open, Run
from blackbox_grad.hosts.shared_memory import Block

#: The program of a host. It imports nothing from the working directory, which may hold a `signal.py`.
_PROGRAM = "import sys; del sys.path[0]; from blackbox_grad.hosts import worker; worker.main()"

#: Turns off glibc's cache of small freed memory, so that a backend can have all new memory zeroed at no cost.
_NO_MALLOC_CACHE = "glibc.malloc.tcache_count=0"

#: A host ends itself at its time limit. If it cannot, the pool ends it this many seconds later.
GRACE = 5.0


class HostDiedError(Exception):
    """A host process ended in the middle of its work."""


class HostProcess:
    """The parent's end of one host process.

    Args:
        number: distinguishes it from the other hosts of its pool.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.connection, theirs = Pipe(duplex=True)
        self.timed_out = False
        self._said = 0
        self._known: set[str] = set()
        self._attached: set[int] = set()
        self._stale: set[int] = set()
        # without a name: it disappears with the last process that has it open
        self._chatter = tempfile.TemporaryFile()  # noqa: SIM115
        import fcntl  # not on Windows, where the pool refuses with a reason

        flags = fcntl.fcntl(self._chatter, fcntl.F_GETFL)
        fcntl.fcntl(self._chatter, fcntl.F_SETFL, flags | os.O_APPEND)
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        tunables = ":".join(filter(None, (os.environ.get("GLIBC_TUNABLES"), _NO_MALLOC_CACHE)))
        with theirs:  # closed here, or the parent would never see that the host has died
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._chatter,
                stderr=self._chatter,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **one_thread, "GLIBC_TUNABLES": tunables, "PYTHONPATH": os.pathsep.join(_module_path())},
                start_new_session=True,  # Ctrl-C in a terminal is for the parent alone
            )

    def introduce(self, key: str, spec: EffectSpec) -> None:
        if key not in self._known:
            self.connection.send(Introduce(key, spec, _module_path()))
            self._known.add(key)

    def attach(self, *blocks: Block) -> None:
        while self._stale:
            number = self._stale.pop()
            if number in self._attached:
                self.connection.send(Detach(number))
                self._attached.discard(number)
        for block in blocks:
            if block.number not in self._attached:
                self.connection.send(Attach(block.number, block.size))
                try:
                    send_handle(self.connection, block.fd, self._process.pid)
                except RuntimeError as error:  # no acknowledgement: the host has died
                    raise OSError(str(error)) from error
                self._attached.add(block.number)

    def detach_later(self, number: int) -> None:
        self._stale.add(number)

    def answer(self, limit: float) -> Any:
        deadline = time.monotonic() + limit
        while not self.connection.poll(max(0.0, min(0.5, deadline - time.monotonic()))):
            if time.monotonic() > deadline:
                self.time_out()
                self.wait()
            if self.dead():
                raise HostDiedError
        try:
            return self.connection.recv()
        except (EOFError, OSError) as error:
            raise HostDiedError from error

    def dead(self) -> bool:
        """Whether it ended without an answer. Its end of the connection may still be open, in a program that a plug-in started."""
        return not self.alive() and not self.connection.poll(0)

    def alive(self) -> bool:
        return self._process.poll() is None

    def time_out(self) -> None:
        self.timed_out = self.alive()
        self.kill()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()

    def wait(self) -> int:
        try:
            return self._process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def send(self, message: Open | Run) -> None:
        self._said = self._printed()
        self.connection.send(message)

    def _printed(self) -> int:
        return os.fstat(self._chatter.fileno()).st_size

    def last_words(self) -> str:
        """The end of what it printed since the last message, for an error message."""
        with contextlib.suppress(OSError, ValueError):
            size = self._printed()
            start = max(self._said if self._said <= size else 0, size - 1000)
            text = os.pread(self._chatter.fileno(), size - start, start).decode(errors="replace").strip()
            if text:
                return f". It last printed: {text}"
        return ""

    def stop(self) -> None:
        """Ask it to end, by closing the connection."""
        with contextlib.suppress(OSError):
            with socket.socket(fileno=os.dup(self.connection.fileno())) as ours:  # a forked child may hold it too
                ours.shutdown(socket.SHUT_RDWR)
            self.connection.close()

    def reap(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)
        self.kill()
        self._process.wait()
        self._chatter.close()


def _module_path() -> tuple[str, ...]:
    return tuple(entry or os.getcwd() for entry in sys.path)
