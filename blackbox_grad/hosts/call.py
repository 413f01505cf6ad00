"""One call under way: which host has begun which render, what is left, and the input of a render that kills hosts."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.hosts.answers import Failed
from blackbox_grad.hosts.host_process import HostProcess
from blackbox_grad.hosts.messages import Work
from blackbox_grad.hosts.shared_memory import SharedMemory
from blackbox_grad.hosts.table import Layout, Table

#: Seconds after which a call asks for one host more: of those that it has, one does not take a render, or does not get ready.
_SLOW, _UNREADY = 0.25, 10.0


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
    open_limit: float
    time_limit: float
    over: bool = False

    def wants_more_than(self, hosts: Sequence[HostProcess]) -> bool:
        """Whether there is a render that none of these hosts will take next."""
        if self.over:
            return False
        taken = self.table.taken
        return int((taken == 0).sum()) > sum(self._will_begin(host) for host in hosts)

    def _will_begin(self, host: HostProcess) -> bool:
        patience = _SLOW if host.phase == "called" else _UNREADY
        return time.monotonic() - host.since < patience and not (self.table.taken == host.number).any()

    def finished(self, hosts: Iterable[HostProcess]) -> bool:
        """Whether all renders are done; after a failure, whether those are that these hosts had begun."""
        if self.over:
            return all(self.unfinished(host) is None for host in hosts)
        return bool(self.table.done.all())

    def send_to(self, host: HostProcess) -> None:
        table, audio, other = (self.memory.block_of(array) for array in (self.block, self.audio, self.other))
        work = Work(host.number, self.layout, table.number, audio.number, other.number, self.open_limit, self.time_limit)
        host.run(self.key, self.info.spec, work, (table, audio, other))

    def unfinished(self, host: HostProcess) -> int | None:
        """The render that this host has begun and not finished."""
        found = np.flatnonzero((self.table.taken == host.number) & (self.table.done == 0))
        return int(found[0]) if len(found) else None

    def spoil(self) -> None:
        """A host may still read the table: its memory is never used again."""
        self.memory.spoil(self.block)

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

    def report(self, index: int, fate: str) -> str:
        """The message about a render that kills hosts. Saves its input."""
        return (
            f"{self.info.spec.address}: a render {fate} ({self.describe(index)}). Its input is saved in {self.save(index)}. Try it "
            "alone with `blackbox-grad render`, give it more time with ProcessPool(time_limit=…), or keep the parameters away "
            "from this setting"
        )

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
