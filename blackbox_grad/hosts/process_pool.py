"""A pool of host processes: each owns its effects on its main thread and never imports torch.

The caller's thread hands out the work and waits for it: the pool has no thread of its own in the parent. So any thread may call it,
and a plug-in sees no thread but the main thread of its host.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import HostError, RenderError
from blackbox_grad.hosts.call import Call
from blackbox_grad.hosts.host_process import GRACE, HostDiedError, HostProcess
from blackbox_grad.hosts.members import Members
from blackbox_grad.hosts.messages import Done, Failed, Open
from blackbox_grad.hosts.rendering import check_batch
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


#: The pool reports a render that kills this many hosts, instead of trying it again.
MOST_KILLS = 2

_pools: weakref.WeakSet[ProcessPool] = weakref.WeakSet()


def _renew_locks() -> None:
    """In a forked child: a thread of the parent may have held the lock, and never releases it here."""
    for pool in _pools:
        pool._free = threading.Condition()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


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
        self.replaced = 0
        self._members = Members()
        self._free = threading.Condition()
        self._infos: dict[str, EffectInfo] = {}
        self._finalizer = weakref.finalize(self, self._members.close)
        _pools.add(self)

    @property
    def closed(self) -> bool:
        return self._members.closed

    def open(self, spec: EffectSpec) -> EffectInfo:
        key = spec.key
        if key in self._infos:
            return self._infos[key]
        for attempt in range(MOST_KILLS):
            with self._taking() as take:
                worker = take(True)
                assert worker is not None
                try:
                    worker.introduce(key, spec)
                    worker.send(Open(key, self.open_limit))
                    answer = worker.answer(self.open_limit + GRACE)
                except (HostDiedError, OSError):
                    if attempt + 1 == MOST_KILLS:
                        raise RenderError(
                            f"{spec.address}: opening it {self._fate(worker, self.open_limit)} in {MOST_KILLS} host processes"
                            f"{worker.last_words()}"
                        ) from None
                    continue
                self._give(worker, healthy=True)
            if isinstance(answer, Failed):
                raise answer.error
            if isinstance(answer, EffectInfo):
                self._infos[key] = answer
                return answer
        raise AssertionError("unreachable")

    def share(self, audio: Audio) -> Audio:
        memory = self._own_members().memory
        return memory.share(audio) if memory.may_lend(audio) else audio

    def render_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray) -> tuple[Audio, NDArray[np.bool_]]:
        check_batch(self.open(spec), audio, points)
        memory = self._own_members().memory
        output = memory.empty((*points.shape[:-1], *audio.shape[1:]))
        try:
            values = self._call("render", spec, memory, audio, points[None] if points.ndim == 2 else points, output)
        except BaseException:
            memory.spoil(output)
            raise
        return memory.give(output), np.isfinite(values).reshape(points.shape[:-1])

    def probe_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray, cotangent: Audio) -> FloatArray:
        check_batch(self.open(spec), audio, points, cotangent)
        memory = self._own_members().memory
        return self._call("probe", spec, memory, audio, points, memory.share(cotangent)).reshape(points.shape[:-1])

    def close(self) -> None:
        with self._free:  # no host is started once it has begun
            self._members.closed = True
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
        self, mode: Mode, spec: EffectSpec, memory: SharedMemory, audio: Audio, points: FloatArray, other: Audio
    ) -> FloatArray:
        info = self.open(spec)
        probes, batch, parameters = points.shape
        layout = Layout(mode, probes, batch, audio.shape[1], audio.shape[2], parameters)
        block = memory.empty((layout.size,), np.uint8)
        table = layout.table(block.data)
        table.points[...] = points
        table.taken[...] = table.done[...] = 0
        try:
            self._have_rendered(Call(info, spec.key, layout, memory, block, table, memory.share(audio), other))
        except BaseException:
            memory.spoil(block)
            raise
        with self._free:
            self.renders += layout.renders
            self.nonfinite += int(np.isnan(table.values).sum())
        return table.values.copy()

    def _have_rendered(self, call: Call) -> None:
        """Let free hosts take renders of a call until all are done."""
        active: dict[Connection, HostProcess] = {}
        failure: Failed | None = None
        with self._taking() as take:
            while True:
                while call.wants_more_than(active.values()):
                    worker = take(not active)
                    if worker is None:
                        break
                    try:
                        call.send_to(worker, self.open_limit, self.time_limit)
                        active[worker.connection] = worker
                    except OSError:
                        self._give(worker, healthy=False)
                        self._after_death(call, worker)
                if not active:
                    break
                # another thread may free a host while ours are busy: if it could take work, look again soon
                may_join = len(active) < self.hosts and call.wants_more_than(active.values())
                for connection in wait(list(active), timeout=0.02 if may_join else 1.0):
                    assert isinstance(connection, Connection)
                    worker = active.pop(connection)
                    answer = self._answer(call, worker)
                    if isinstance(answer, Failed) and (failure is None or answer.index < failure.index):
                        failure = answer
                        call.end()
                for connection, worker in list(active.items()):
                    if call.stuck(worker, self.open_limit, self.time_limit):
                        worker.time_out()
                        worker.wait()
                    if worker.dead():
                        del active[connection]
                        self._answer(call, worker)
        if failure is not None:
            raise call.error(failure)

    def _answer(self, call: Call, worker: HostProcess) -> Done | Failed | None:
        try:
            if worker.dead():
                raise EOFError
            answer = worker.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self._give(worker, healthy=False)
            self._after_death(call, worker)
            return None
        self._give(worker, healthy=True)
        assert isinstance(answer, (Done, Failed))
        return answer

    def _after_death(self, call: Call, worker: HostProcess) -> None:
        """Let another host take the render that a dead one had begun; report a render that kills again."""
        culprit = call.unfinished(worker)
        if call.over or (culprit is None and call.table.taken.all()):
            return
        call.kills[culprit] += 1
        if call.kills[culprit] >= MOST_KILLS:
            fate = f"{self._fate(worker, self.time_limit)} in {MOST_KILLS} host processes"
            if culprit is None:
                raise RenderError(f"{call.info.spec.address}: opening it {fate}{worker.last_words()}")
            raise RenderError(
                f"{call.info.spec.address}: a render {fate} ({call.describe(culprit)}). Its input is saved in "
                f"{call.save(culprit)}. Try it alone with `blackbox-grad render`, give it more time with "
                f"ProcessPool(time_limit=…), or keep the parameters away from this setting{worker.last_words()}"
            )
        if culprit is not None:
            call.table.taken[culprit] = 0

    def _fate(self, worker: HostProcess, limit: float) -> str:
        code = worker.wait()
        if code == -signal.SIGALRM or (code == -signal.SIGKILL and worker.timed_out):
            return f"exceeded its time limit of {limit:g} s"
        if code < 0:
            return f"crashed with {signal.Signals(-code).name}"
        return f"ended its host with exit code {code}"

    # hosts, taken by one call at a time

    @contextlib.contextmanager
    def _taking(self) -> Iterator[Callable[[bool], HostProcess | None]]:
        """Hosts for one call. At its end the pool kills those that it has not given back: nothing needs their renders any more.

        This happens after an error, and after Ctrl-C at any moment: the owner of a host is one entry of a table, set in one step.
        """
        caller = object()
        try:
            yield lambda wait_for_one: self._take(caller, wait_for_one)
        finally:
            for worker in [w for w, owner in tuple(self._members.owners.items()) if owner is caller]:
                self._give(worker, healthy=False)

    def _take(self, caller: object, wait_for_one: bool) -> HostProcess | None:
        """A free host, started if there are fewer than `hosts`. None if all are busy and `wait_for_one` is False."""
        with self._free:
            while True:
                members = self._own_members()
                if members.closed:
                    raise HostError("this ProcessPool is closed; make a new one, or use blackbox_grad.default_host()")
                for worker in [w for w, owner in members.owners.items() if owner is None]:
                    if worker.alive():
                        members.owners[worker] = caller
                        return worker
                    del members.owners[worker]
                    self.replaced += 1
                if len(members.owners) < self.hosts:
                    members.started += 1
                    worker = HostProcess(members.started)
                    members.owners[worker] = caller
                    return worker
                if not wait_for_one:
                    return None
                self._free.wait(timeout=1.0)

    def _give(self, worker: HostProcess, healthy: bool) -> None:
        with self._free:
            kept = healthy and not self._members.closed
            if kept:
                self._members.owners[worker] = None
            else:
                worker.kill()
                self._members.owners.pop(worker, None)
                self.replaced += 0 if healthy else 1
            self._free.notify()
        if not kept:
            worker.wait()  # or the system would keep its entry until this process ends

    def _own_members(self) -> Members:
        """After a fork the hosts belong to the parent: the child starts its own."""
        if self._members.pid != os.getpid():
            self._members = Members()
            self._finalizer = weakref.finalize(self, self._members.close)
        return self._members
