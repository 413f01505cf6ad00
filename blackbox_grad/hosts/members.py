"""A pool's host processes and its memory: what must be released when the pool ends."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from blackbox_grad.hosts.host_process import HostProcess
from blackbox_grad.hosts.shared_memory import SharedMemory


@dataclass(eq=False)
class Members:
    """What must be released when the pool ends. Separate from the pool, so that a finalizer can hold it."""

    pid: int = field(default_factory=os.getpid)
    owners: dict[HostProcess, object | None] = field(default_factory=dict)  # None: free
    started: int = 0
    closed: bool = False
    memory: SharedMemory = field(init=False)

    def __post_init__(self) -> None:
        owners = self.owners

        def dropped(block: int) -> None:
            for worker in tuple(owners):
                worker.detach_later(block)

        self.memory = SharedMemory(dropped)

    def close(self) -> None:
        self.closed = True
        if os.getpid() == self.pid:
            workers = tuple(self.owners)  # a call on another thread gives its worker up as soon as it stops
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.reap()
        self.owners.clear()
        self.memory.close()
