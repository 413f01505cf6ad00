"""A pool of host processes: each owns its effects on its main thread and never imports torch."""

from __future__ import annotations

import os
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import HostError
from blackbox_grad.hosts.asking import Question, told
from blackbox_grad.hosts.call import Call
from blackbox_grad.hosts.dispatch import opened, render
from blackbox_grad.hosts.limits import errors_of
from blackbox_grad.hosts.members import Members
from blackbox_grad.hosts.rendering import check_batch, check_bounds
from blackbox_grad.hosts.shared_memory import SharedMemory
from blackbox_grad.hosts.table import Layout, Mode
from blackbox_grad.parameters.parameter import FloatArray


def usable_cores() -> int:
    """Cores this process may run on; `BLACKBOX_GRAD_HOSTS` overrides it."""
    setting = os.environ.get("BLACKBOX_GRAD_HOSTS", "")
    if setting:
        if not setting.isdigit() or int(setting) < 1:
            raise HostError(f"BLACKBOX_GRAD_HOSTS={setting!r} must be a whole number of processes, 1 or more")
        return int(setting)
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


#: Effects that a pool remembers to have opened.
_MOST_INFOS = 1024


class ProcessPool:
    """Host processes, shared by any number of modules and threads.

    Results do not depend on the number of hosts: every render is a function of its own input.

    Args:
        hosts: number of processes; by default the variable `BLACKBOX_GRAD_HOSTS`, or else the number of usable cores.
        time_limit: seconds for one render. The pool replaces a host that exceeds it, and gives its work to another host, once.
        open_limit: seconds for opening an effect.

    Processes start at their first use. They end with `close()`, with this object, and with this process, however it ends.
    """

    def __init__(self, hosts: int | None = None, time_limit: float = 60.0, open_limit: float = 180.0) -> None:
        if os.name != "posix":
            raise HostError("ProcessPool needs Linux or macOS; on this system pass host=InProcessHost()")
        size = usable_cores() if hosts is None else hosts
        if not (isinstance(size, int) and size >= 1):
            raise HostError(f"a pool needs a whole number of processes, hosts >= 1, got hosts={hosts!r}")
        if not all(isinstance(limit, int | float) and limit > 0 for limit in (time_limit, open_limit)):
            raise HostError(f"time limits must be positive seconds, got time_limit={time_limit}, open_limit={open_limit}")
        self.hosts = size
        self.time_limit = float(time_limit)
        self.open_limit = float(open_limit)
        self.renders = 0
        self.nonfinite = 0
        self._members = Members(size)
        self._infos: dict[str, EffectInfo] = {}
        self._finalizer = weakref.finalize(self, self._members.close)

    @property
    def closed(self) -> bool:
        return self._members.closed

    @property
    def replaced(self) -> int:
        """Hosts that died, or were ended, and made room for others."""
        return self._members.replaced

    def open(self, spec: EffectSpec) -> EffectInfo:
        key = spec.key
        info = self._infos.get(key)
        if info is None:
            info = self._infos[key] = opened(spec, self._own_members(), self.open_limit)
            if len(self._infos) > _MOST_INFOS:
                self._infos.pop(next(iter(self._infos)), None)
        return info

    def ask(self, spec: EffectSpec, question: str, arguments: tuple[Any, ...] = ()) -> Any:
        info = self.open(spec)
        return told(info.spec, spec.key, self._own_members(), Question(question, arguments, self.open_limit, self.open_limit))

    def share(self, audio: Audio) -> Audio:
        memory = self._own_members().memory
        return memory.share(audio) if memory.may_lend(audio) else audio

    def render_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray) -> tuple[Audio, NDArray[np.bool_]]:
        check_batch(self.open(spec), audio, points)
        memory = self._own_members().memory
        with errors_of(spec), memory.lending() as lent:
            output = lent(memory.empty((*points.shape[:-1], *audio.shape[1:])))
            values = self._call("render", spec, memory, audio, points[None] if points.ndim == 2 else points, output)
        return memory.give(output), np.isfinite(values).reshape(points.shape[:-1])

    def probe_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray, cotangent: Audio) -> FloatArray:
        check_batch(self.open(spec), audio, points, cotangent)
        memory = self._own_members().memory
        with errors_of(spec), memory.lending() as lent:
            shared = memory.share(cotangent)
            if shared is not cotangent:
                lent(shared)
            return self._call("probe", spec, memory, audio, points, shared).reshape(points.shape[:-1])

    def probe_segments(
        self, spec: EffectSpec, audio: Audio, points: FloatArray, cotangent: Audio, bounds: NDArray[np.int64]
    ) -> FloatArray:
        check_batch(self.open(spec), audio, points, cotangent)
        check_bounds(self.open(spec), bounds, audio.shape[-1])
        memory = self._own_members().memory
        with errors_of(spec), memory.lending() as lent:
            shared = memory.share(cotangent)
            if shared is not cotangent:
                lent(shared)
            parts = self._call("probe", spec, memory, audio, points, shared, bounds)
            return parts.reshape(*points.shape[:-1], len(bounds) - 1)

    def close(self) -> None:
        members = self._own_members()
        with members.free:  # no host is started once it has begun
            members.closed = True
        self._finalizer()

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return ProcessPool, (self.hosts, self.time_limit, self.open_limit)

    def __repr__(self) -> str:
        return f"ProcessPool(hosts={self.hosts}, time_limit={self.time_limit:g}, open_limit={self.open_limit:g})"

    # one call: copy the input, have it rendered, return the results

    def _call(
        self,
        mode: Mode,
        spec: EffectSpec,
        memory: SharedMemory,
        audio: Audio,
        points: FloatArray,
        other: Audio,
        bounds: NDArray[np.int64] | None = None,
    ) -> FloatArray:
        """`[N]`, a value of each render; with `bounds: [S + 1]` `[N, S]`, one of each segment."""
        info = self.open(spec)
        probes, batch, parameters = points.shape
        layout = Layout(
            mode, probes, batch, audio.shape[1], audio.shape[2], parameters, 0 if bounds is None else len(bounds) - 1
        )
        members = self._own_members()
        limits = self.open_limit, self.time_limit
        with memory.lending() as lent:
            block = lent(memory.empty((layout.size,), np.uint8))
            table = layout.table(block.data)
            table.points[...] = points
            table.taken[...] = table.done[...] = 0
            table.bounds[...] = 0 if bounds is None else bounds
            shared = memory.share(audio)
            if shared is not audio:
                lent(shared)
            render(Call(info, spec.key, layout, memory, block, table, shared, other, *limits), members)
        with members.free:
            self.renders += layout.renders
            self.nonfinite += int(np.isnan(table.values).sum())
        return table.values.copy() if bounds is None else table.parts.copy()

    def _own_members(self) -> Members:
        """After a fork the hosts belong to the parent: the child starts its own."""
        if self._members.pid != os.getpid():
            self._members = Members(self.hosts)
            self._finalizer = weakref.finalize(self, self._members.close)
        return self._members
