"""The program of a host process: effects on its main thread, no torch, audio in shared memory.

`python -m blackbox_grad.hosts.worker FD PARENT` starts it. It communicates over the socket FD, and ends when its parent does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle

from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import BlackboxGradError, EffectLoadError
from blackbox_grad.hosts.messages import Attach, Detach, Done, Failed, Introduce, Open, Run
from blackbox_grad.hosts.opened import OpenedEffects
from blackbox_grad.hosts.rendering import ignore_overflow, probe_value, render_into
from blackbox_grad.hosts.shared_memory import Block
from blackbox_grad.hosts.table import Table

#: Bytes of a plug-in's output that a host keeps for error messages.
MOST_CHATTER = 1 << 20


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """End this process if the block takes longer.

    The kernel ends it, so this works while a plug-in hangs with the interpreter locked, and after the parent has died.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _take(block: Block, table: Table, host: int) -> int | None:
    """The next render that no host has begun. A lock, which ends with its process, keeps two hosts from taking the same."""
    import fcntl  # not on Windows, where the pool refuses with a reason

    fcntl.lockf(block.fd, fcntl.LOCK_EX)
    try:
        index = int(table.taken.argmin())
        if table.taken[index] != 0:
            return None
        table.taken[index] = host
        return index
    finally:
        fcntl.lockf(block.fd, fcntl.LOCK_UN)


def _watch(parent: int) -> None:
    """End with the parent; keep what plug-ins print from filling the disk."""
    while os.getppid() == parent:
        time.sleep(0.25)
        with contextlib.suppress(OSError):
            if os.fstat(2).st_size > MOST_CHATTER:
                os.ftruncate(2, 0)
    os._exit(0)


class Worker:
    """One host: keeps effects and blocks, answers one message after another."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._specs: dict[str, EffectSpec] = {}
        self._blocks: dict[int, Block] = {}
        self._effects = OpenedEffects()

    def serve(self) -> None:
        """Answer messages until the parent closes its end."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                message = self._connection.recv()
                answer = self.handle(message)
                if answer is not None:
                    self._connection.send(answer)
        self._effects.close()

    def handle(self, message: object) -> object:
        match message:
            case Introduce():
                self._specs[message.key] = message.spec
                sys.path.extend(entry for entry in message.path if entry not in sys.path)
            case Attach():
                fd = recv_handle(self._connection)
                os.set_inheritable(fd, False)
                self._blocks[message.block] = Block(message.block, message.size, fd)
            case Detach():
                del self._blocks[message.block]
            case Open():
                return self.open(message)
            case Run():
                return self.run(message)
        return None

    def open(self, message: Open) -> EffectInfo | Failed:
        try:
            with _alarm(message.time_limit):
                return EffectInfo.of(self._effects.get(message.key, self._specs[message.key]))
        except Exception as error:
            return Failed(_portable(error, self._specs[message.key]))

    def run(self, message: Run) -> Done | Failed:
        index = None
        layout, block = message.layout, self._blocks[message.table]
        table = layout.table(block.memory)
        if not layout.renders:
            return Done()
        audio, other = self._blocks[message.audio].array(layout.audio), self._blocks[message.other].array(layout.other)
        try:
            with _alarm(message.open_limit):
                effect = self._effects.get(message.key, self._specs[message.key])
            values = effect.parameters.complete_all(table.points)
            with ignore_overflow():
                while (index := _take(block, table, message.host)) is not None:
                    probe, item = divmod(index, layout.batch)
                    with _alarm(message.time_limit):
                        if layout.mode == "render":
                            result = render_into(effect, audio[item], values[probe, item], other[probe, item])
                        else:
                            result = probe_value(effect, audio[item], values[probe, item], other[item])
                    table.values[index] = result
                    table.done[index] = 1
        except Exception as error:
            return Failed(_portable(error, self._specs[message.key]), -1 if index is None else index)
        return Done()


def _portable(error: Exception, spec: EffectSpec) -> Exception:
    """An error that the parent can unpickle, even if it comes from another library."""
    if isinstance(error, BlackboxGradError):
        return type(error)(str(error))
    return EffectLoadError(f"{spec.address}: {type(error).__name__}: {error}")


def main() -> None:
    fd, parent = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(fd, False)  # a program that a plug-in starts must not keep it open
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    Worker(Connection(fd)).serve()
    os._exit(0)  # a plug-in's static destructors may hang or crash, and we have nothing left to do


if __name__ == "__main__":
    main()
