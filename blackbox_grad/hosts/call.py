"""One call under way: which host has begun which render, which render killed a host, and its input."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.hosts.host_process import GRACE, HostProcess
from blackbox_grad.hosts.messages import Failed, Run
from blackbox_grad.hosts.shared_memory import SharedMemory
from blackbox_grad.hosts.table import Layout, Table


@dataclass(eq=False)
class Call:
    """The renders of one call, and the state of those under way."""

    info: EffectInfo
    key: str
    layout: Layout
    memory: SharedMemory
    block: NDArray[np.uint8]
    table: Table
    audio: Audio
    other: Audio
    kills: Counter[int | None] = field(default_factory=Counter)
    over: bool = False
    _at: dict[HostProcess, tuple[int | None, float]] = field(default_factory=dict)

    def wants_more_than(self, hosts: Iterable[HostProcess]) -> bool:
        """Whether there is a render that none of these hosts will take next."""
        if self.over:
            return False
        taken = self.table.taken
        beginning = sum(not (taken == host.number).any() for host in hosts)
        return int((taken == 0).sum()) > beginning

    def send_to(self, host: HostProcess, open_limit: float, time_limit: float) -> None:
        host.introduce(self.key, self.info.spec)
        table, audio, other = (self.memory.block_of(array) for array in (self.block, self.audio, self.other))
        host.attach(table, audio, other)
        self._at[host] = None, time.monotonic()
        host.send(Run(self.key, host.number, self.layout, table.number, audio.number, other.number, open_limit, time_limit))

    def unfinished(self, host: HostProcess) -> int | None:
        """The render that this host has begun and not finished."""
        found = np.flatnonzero((self.table.taken == host.number) & (self.table.done == 0))
        return int(found[0]) if len(found) else None

    def stuck(self, host: HostProcess, open_limit: float, time_limit: float) -> bool:
        """Whether the host has exceeded a limit and could not end itself."""
        render, since = self._at[host]
        now = self.unfinished(host)
        if now != render:
            self._at[host] = now, time.monotonic()
            return False
        return time.monotonic() - since > GRACE + (open_limit if render is None else time_limit)

    def end(self) -> None:
        """The call has failed: no further render begins."""
        self.over = True
        self.table.taken[self.table.taken == 0] = -1

    def error(self, failure: Failed) -> Exception:
        error = failure.error
        if failure.index < 0:
            return error
        described = type(error)(f"{error} ({self.describe(failure.index)})")
        described.__cause__ = error
        return described

    def describe(self, index: int) -> str:
        probe, item = divmod(index, self.layout.batch)
        return self.info.parameters.describe(self.table.points[probe, item], item)

    def save(self, index: int) -> str:
        """Write the input of one render to an .npz file in the temporary folder, and return its path."""
        probe, item = divmod(index, self.layout.batch)
        fd, path = tempfile.mkstemp(prefix="blackbox_grad-killed-", suffix=".npz")
        with os.fdopen(fd, "wb") as file:
            np.savez(
                file,
                audio=self.audio[item],
                point=self.table.points[probe, item],
                sample_rate=self.info.sample_rate,
                address=self.info.spec.address,
            )
        return path
