"""A pool's host processes and its memory: what calls take, and what must be released when the pool ends."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

from blackbox_grad.errors import HostError
from blackbox_grad.hosts.channel import GarbageError
from blackbox_grad.hosts.host_process import HostDiedError, HostProcess
from blackbox_grad.hosts.shared_memory import SharedMemory

#: Seconds between two looks at hosts that are not ready.
PAUSE = 0.02

#: Seconds in which hosts may end by themselves when their pool ends.
_FAREWELL = 1.0

Take: TypeAlias = Callable[[bool], "HostProcess | None"]


class Members:
    """Host processes, each taken by one call at a time. Separate from the pool, so that a finalizer can hold it.

    Args:
        size: the most hosts.
    """

    def __init__(self, size: int) -> None:
        self.pid = os.getpid()
        self.owners: dict[HostProcess, object | None] = {}  # None: free
        self.free = threading.Condition()
        self.replaced = 0
        self.closed = False
        self.size = size
        self._started = 0
        owners = self.owners

        def dropped(block: int) -> None:
            for worker in tuple(owners):
                worker.detach_later(block)

        self.memory = SharedMemory(dropped)

    @contextlib.contextmanager
    def taking(self) -> Iterator[Take]:
        """Hosts for one call. At its end those that were not given back are killed: nothing needs their renders any more.

        This happens after an error, and after Ctrl-C at any moment: the owner of a host is one entry of a table, set in one step.
        """
        caller = object()
        try:
            yield lambda wait_for_one: self._take(caller, wait_for_one)
        finally:
            for worker in [w for w, owner in tuple(self.owners.items()) if owner is caller]:
                self.give(worker, healthy=False)

    def _take(self, caller: object, wait_for_one: bool) -> HostProcess | None:
        """A free host, started if there are fewer than may be. None if there is none and `wait_for_one` is False.

        Raises:
            HostError: the pool is closed, or the system refuses its first process.
        """
        while True:
            with self.free:
                if self.closed:
                    raise HostError("this ProcessPool is closed; make a new one, or use blackbox_grad.default_host()")
                worker, dead, behind = self._settled()
                if worker is not None:
                    self.owners[worker] = caller
                elif len(self.owners) < self.size:
                    worker = self._started_one(caller)
                if worker is None and wait_for_one and not dead:
                    self.free.wait(timeout=PAUSE if behind else 1.0)
            for lost in dead:
                lost.bury()
            if worker is not None or not wait_for_one:
                return worker

    def _settled(self) -> tuple[HostProcess | None, list[HostProcess], bool]:
        """A host that waits for work, those that have died, and whether others have yet to answer a call that is over."""
        found: HostProcess | None = None
        dead: list[HostProcess] = []
        behind = False
        for worker in [w for w, owner in self.owners.items() if owner is None]:
            try:
                if worker.owes or worker.phase == "starting":
                    worker.hear()
                    worker.end_if_overdue()
                if not worker.alive():
                    raise HostDiedError
                if worker.owes:
                    behind = True
                elif found is None:
                    found = worker
                else:
                    worker.tidy()
            except (HostDiedError, GarbageError):
                worker.kill()
                del self.owners[worker]
                self.replaced += 1
                dead.append(worker)
        return found, dead, behind

    def _started_one(self, caller: object) -> HostProcess | None:
        self._started += 1
        try:
            worker = HostProcess(self._started)
        except HostError:
            if self.owners:  # those that run will do
                return None
            raise
        self.owners[worker] = caller
        return worker

    def give(self, worker: HostProcess, healthy: bool) -> None:
        """Let other calls have it, or end it."""
        with self.free:
            kept = healthy and not self.closed
            if kept:
                self.owners[worker] = None
            else:
                worker.kill()
                self.owners.pop(worker, None)
                self.replaced += 0 if healthy else 1
            self.free.notify()
        if not kept:
            worker.bury()

    def close(self) -> None:
        self.closed = True
        if os.getpid() == self.pid:
            workers = tuple(self.owners)  # a call on another thread gives its worker up as soon as it stops
            for worker in workers:
                worker.stop()
            deadline = time.monotonic() + _FAREWELL
            for worker in workers:
                worker.bury(deadline - time.monotonic())
        self.owners.clear()
        self.memory.close()
