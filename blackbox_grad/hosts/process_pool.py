"""A pool of host processes: each owns its effects on its main thread and never imports torch.

The caller's thread deals out the work and waits for it; there is no thread of the pool's own in the parent. So any thread may call
it, and no plug-in ever sees a thread other than the main thread of its host.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.reduction import send_handle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects import Audio, EffectInfo, EffectSpec
from blackbox_grad.errors import HostError, RenderError
from blackbox_grad.hosts import usable_cores
from blackbox_grad.hosts.opened import spec_key
from blackbox_grad.hosts.shared import CallArrays, Layout, Mode, SharedBuffer
from blackbox_grad.hosts.worker import Attach, Detach, Done, Failed, Introduce, Open, Run
from blackbox_grad.parameters import FloatArray

#: What a host runs. It does not look for modules in the working directory: a `signal.py` there is none of its business.
_PROGRAM = "import sys; del sys.path[0]; from blackbox_grad.hosts import worker; worker.main()"

#: A render that kills this many hosts is reported instead of tried again.
MOST_KILLS = 2

#: A host ends itself at its time limit; so much later the pool does it, in case the host could not.
_GRACE = 5.0

#: Buffers kept for the next call; more are only made while several threads call at once.
_SPARE_BUFFERS = 4


_pools: weakref.WeakSet[ProcessPool] = weakref.WeakSet()


def _renew_locks() -> None:
    """In a forked child: a thread of the parent may have held the lock, and will never release it here."""
    for pool in _pools:
        pool._free = threading.Condition()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class HostDiedError(Exception):
    """A host process ended in the middle of its work."""


class ProcessPool:
    """Host processes, shared by any number of modules and threads.

    Results do not depend on the number of hosts: every render is a function of its own input.

    Args:
        hosts: number of processes; the number of usable cores by default, or the variable `BLACKBOX_GRAD_HOSTS`.
        time_limit: seconds for one render. A host that exceeds it is killed and replaced, and its work is given to another once.
        open_limit: seconds for opening an effect.

    Processes start when first needed. They end with `close()`, with this object, and with this process, however it ends.
    """

    def __init__(self, hosts: int | None = None, time_limit: float = 60.0, open_limit: float = 180.0) -> None:
        if os.name != "posix":
            raise HostError("ProcessPool needs Linux or macOS; on this system pass host=InProcessHost()")
        size = usable_cores() if hosts is None else hosts
        if size < 1:
            raise HostError(f"a pool needs hosts >= 1, got {hosts}")
        if not (time_limit > 0 and open_limit > 0):
            raise HostError(f"time limits must be positive seconds, got time_limit={time_limit}, open_limit={open_limit}")
        self.hosts = size
        self.time_limit = float(time_limit)
        self.open_limit = float(open_limit)
        self.renders = 0
        self.nonfinite = 0
        self.replaced = 0
        self._members = _Members()
        self._free = threading.Condition()
        self._infos: dict[str, EffectInfo] = {}
        self._finalizer = weakref.finalize(self, self._members.close)
        _pools.add(self)

    @property
    def closed(self) -> bool:
        return self._members.closed

    def open(self, spec: EffectSpec) -> EffectInfo:
        key = spec_key(spec)
        if key in self._infos:
            return self._infos[key]
        for attempt in range(MOST_KILLS):
            with self._taking() as take:
                worker = take(True)
                assert worker is not None
                try:
                    worker.introduce(key, spec)
                    worker.send(Open(key, self.open_limit))
                    answer = worker.answer(self.open_limit + _GRACE)
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

    def render_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray) -> tuple[Audio, NDArray[np.bool_]]:
        stack = points[None] if points.ndim == 2 else points
        with self._call("render", spec, audio, stack) as call:
            output = call.output.copy()  # the caller's own, also after a fork
            finite = np.isfinite(call.values).reshape(points.shape[:-1])
            del call
        return output.reshape(*points.shape[:-1], *audio.shape[1:]), finite

    def probe_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray, cotangent: Audio) -> FloatArray:
        with self._call("probe", spec, audio, points, cotangent) as call:
            values = call.values.copy().reshape(points.shape[:-1])
            del call
        return values

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

    # one call: copy in, deal out, wait, hand the results over

    @contextlib.contextmanager
    def _call(
        self, mode: Mode, spec: EffectSpec, audio: Audio, points: FloatArray, cotangent: Audio | None = None
    ) -> Iterator[CallArrays]:
        info = self.open(spec)
        probes, batch, parameters = points.shape
        layout = Layout(mode, probes, batch, audio.shape[1], audio.shape[2], parameters)
        buffer = self._borrow(layout.size)
        intact = False
        call = layout.views(buffer.shared)
        try:
            call.points[...], call.audio[...] = points, audio
            if cotangent is not None:
                call.cotangent[...] = cotangent
            call.done[...] = 0
            self._deal(_Deal(info, spec_key(spec), layout, buffer, call))
            with self._free:
                self.renders += layout.renders
                self.nonfinite += int(np.isnan(call.values).sum())
            intact = True
            yield call
        finally:
            del call  # views must be gone before the buffer can be closed
            self._return(buffer, intact)

    def _deal(self, deal: _Deal) -> None:
        """Give ranges of renders to free hosts until all are done."""
        active: dict[Connection, tuple[_Worker, Run, float]] = {}
        with self._taking() as take:
            while deal.pending or active:
                while deal.pending:
                    worker = take(not active)
                    if worker is None:
                        break
                    run = deal.next_run(self)
                    try:
                        worker.introduce(deal.key, deal.info.spec)
                        worker.attach(deal.buffer)
                        worker.send(run)
                        fallback = (run.stop - run.start) * self.time_limit + self.open_limit + _GRACE
                        active[worker.connection] = worker, run, time.monotonic() + fallback
                    except OSError:
                        self._give(worker, healthy=False)
                        self._after_death(deal, worker, run)
                # other threads may free a host while ours are busy, so look again soon if there is work left
                ready = wait(list(active), timeout=0.02 if deal.pending else 1.0)
                for connection in [c for c in active if c in ready]:
                    worker, run, _ = active.pop(connection)
                    self._finish(deal, worker, run)
                for connection, (worker, run, limit) in list(active.items()):
                    if time.monotonic() > limit:
                        del active[connection]
                        worker.time_out()
                        self._finish(deal, worker, run)

    def _finish(self, deal: _Deal, worker: _Worker, run: Run) -> None:
        try:
            answer = worker.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self._give(worker, healthy=False)
            self._after_death(deal, worker, run)
            return
        self._give(worker, healthy=True)
        if isinstance(answer, Failed):
            error = answer.error
            if answer.index < 0 or not isinstance(error, Exception):
                raise error
            raise type(error)(f"{error} ({deal.describe(answer.index)})") from error
        assert isinstance(answer, Done)

    def _after_death(self, deal: _Deal, worker: _Worker, run: Run) -> None:
        """Give what a dead host left undone to another; report a render that kills again."""
        undone = [i for i in range(run.start, run.stop) if not deal.call.done[i]]
        if not undone:
            return
        culprit, rest = undone[0], undone[1:]
        deal.kills[culprit] += 1
        if deal.kills[culprit] >= MOST_KILLS:
            saved = deal.save(culprit)
            raise RenderError(
                f"{deal.info.spec.address}: a render {self._fate(worker, self.time_limit)} in {MOST_KILLS} host processes "
                f"({deal.describe(culprit)}). Its input is saved in {saved}. Try it alone with "
                f"`blackbox-grad render`, give it more time with ProcessPool(time_limit=…), or keep the parameters away from "
                f"this setting{worker.last_words()}"
            )
        deal.pending.append((culprit, culprit + 1))
        if rest:
            deal.pending.append((rest[0], rest[-1] + 1))

    def _fate(self, worker: _Worker, limit: float) -> str:
        code = worker.wait()
        if code == -signal.SIGALRM or (code == -signal.SIGKILL and worker.timed_out):
            return f"exceeded its time limit of {limit:g} s"
        if code < 0:
            return f"crashed with {signal.Signals(-code).name}"
        return f"ended its host with exit code {code}"

    # hosts and buffers, taken by one call at a time

    @contextlib.contextmanager
    def _taking(self) -> Iterator[Callable[[bool], _Worker | None]]:
        """Hosts for one call: those that it has not given back at its end are in the middle of work that nobody wants any more.

        So it is after an error, and after Ctrl-C at whatever moment: who has a host is one entry of a table, set in one step.
        """
        caller = object()
        try:
            yield lambda wait_for_one: self._take(caller, wait_for_one)
        finally:
            for worker in [w for w, owner in tuple(self._members.owners.items()) if owner is caller]:
                self._give(worker, healthy=False)

    def _take(self, caller: object, wait_for_one: bool) -> _Worker | None:
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
                    worker = _Worker()
                    members.owners[worker] = caller
                    return worker
                if not wait_for_one:
                    return None
                self._free.wait(timeout=1.0)

    def _give(self, worker: _Worker, healthy: bool) -> None:
        with self._free:
            if healthy and not self._members.closed:
                self._members.owners[worker] = None
            else:
                worker.kill()
                self._members.owners.pop(worker, None)
                self.replaced += 0 if healthy else 1
            self._free.notify()

    def _own_members(self) -> _Members:
        """After a fork the hosts belong to the parent: the child starts its own."""
        if self._members.pid != os.getpid():
            self._members = _Members()
            self._finalizer = weakref.finalize(self, self._members.close)
        return self._members

    def _borrow(self, size: int) -> _Buffer:
        with self._free:
            members = self._own_members()
            fitting = [b for b in members.buffers if b.shared.size >= size]
            if fitting:
                best = min(fitting, key=lambda b: b.shared.size)
                members.buffers.remove(best)
                return best
            members.made += 1
            return _Buffer(members.made, SharedBuffer(size))

    def _return(self, buffer: _Buffer, intact: bool) -> None:
        """Keep the buffer for the next call, unless a host that is being killed may still write to it."""
        with self._free:
            members = self._members
            if intact and not members.closed:
                members.buffers.append(buffer)
                members.buffers.sort(key=lambda b: b.shared.size)
            drop = [] if intact and not members.closed else [buffer]
            while len(members.buffers) > _SPARE_BUFFERS:
                drop.append(members.buffers.pop(0))
            for old in drop:
                for worker in members.owners:
                    worker.detach_later(old.number)
                with contextlib.suppress(BufferError):  # an exception's traceback may still hold a view
                    old.shared.close()


@dataclass(eq=False)
class _Members:
    """What must be let go when the pool ends; apart from the pool, so that a finalizer can hold it."""

    pid: int = field(default_factory=os.getpid)
    owners: dict[_Worker, object | None] = field(default_factory=dict)  # None: free
    buffers: list[_Buffer] = field(default_factory=list)
    made: int = 0
    closed: bool = False

    def close(self) -> None:
        self.closed = True
        if os.getpid() == self.pid:
            workers = tuple(self.owners)  # a call on another thread gives its worker up as soon as it stops
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.reap()
        self.owners.clear()
        for buffer in self.buffers:
            with contextlib.suppress(BufferError):
                buffer.shared.close()
        self.buffers.clear()


@dataclass(eq=False)
class _Buffer:
    number: int
    shared: SharedBuffer


@dataclass(eq=False)
class _Deal:
    """The renders of one call that are still to be given out."""

    info: EffectInfo
    key: str
    layout: Layout
    buffer: _Buffer
    call: CallArrays
    pending: deque[tuple[int, int]] = field(init=False)
    kills: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.pending = deque([(0, self.layout.renders)])

    def next_run(self, pool: ProcessPool) -> Run:
        """Large ranges first, small ones last, so that all hosts finish together."""
        start, stop = self.pending.popleft()
        left = stop - start + sum(b - a for a, b in self.pending)
        count = min(stop - start, max(1, -(-left // (2 * pool.hosts))))
        if start + count < stop:
            self.pending.appendleft((start + count, stop))
        return Run(self.key, self.buffer.number, self.layout, start, start + count, pool.open_limit, pool.time_limit)

    def describe(self, index: int) -> str:
        probe, item = divmod(index, self.layout.batch)
        point = self.call.points[probe, item]
        values = ", ".join(f"{name}={value:.4g}" for name, value in zip(self.info.parameters.names, point, strict=True))
        return f"item {item} of the batch at {values}"

    def save(self, index: int) -> str:
        """The input of one render as an .npz file in the temporary folder; its path."""
        probe, item = divmod(index, self.layout.batch)
        fd, path = tempfile.mkstemp(prefix="blackbox_grad-killed-", suffix=".npz")
        with os.fdopen(fd, "wb") as file:
            np.savez(
                file,
                audio=self.call.audio[item],
                point=self.call.points[probe, item],
                sample_rate=self.info.sample_rate,
                address=self.info.spec.address,
            )
        return path


class _Worker:
    """The parent's end of one host process."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe(duplex=True)
        self.timed_out = False
        self._said = 0
        self._known: set[str] = set()
        self._attached: set[int] = set()
        self._stale: set[int] = set()
        # not a named file: gone with the last process that has it open
        self._chatter = tempfile.TemporaryFile()  # noqa: SIM115
        import fcntl  # not on Windows, where the pool refuses with a reason

        flags = fcntl.fcntl(self._chatter, fcntl.F_GETFL)
        fcntl.fcntl(self._chatter, fcntl.F_SETFL, flags | os.O_APPEND)
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with theirs:  # closed here, or the parent would never see that the host has died
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=self._chatter,
                stderr=self._chatter,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **one_thread, "PYTHONPATH": os.pathsep.join(_module_path())},
                start_new_session=True,  # Ctrl-C in a terminal is for the parent alone
            )

    def introduce(self, key: str, spec: EffectSpec) -> None:
        if key not in self._known:
            self.connection.send(Introduce(key, spec, _module_path()))
            self._known.add(key)

    def attach(self, buffer: _Buffer) -> None:
        while self._stale:
            number = self._stale.pop()
            if number in self._attached:
                self.connection.send(Detach(number))
                self._attached.discard(number)
        if buffer.number not in self._attached:
            self.connection.send(Attach(buffer.number, buffer.shared.size))
            send_handle(self.connection, buffer.shared.fd, self._process.pid)
            self._attached.add(buffer.number)

    def detach_later(self, number: int) -> None:
        self._stale.add(number)

    def answer(self, limit: float) -> Any:
        if not self.connection.poll(limit):
            self.time_out()
        try:
            return self.connection.recv()
        except (EOFError, OSError) as error:
            raise HostDiedError from error

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
            return self._process.wait(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def send(self, message: Open | Run) -> None:
        self._said = self._printed()
        self.connection.send(message)

    def _printed(self) -> int:
        return os.fstat(self._chatter.fileno()).st_size

    def last_words(self) -> str:
        """The end of what was printed since the last message, for an error message."""
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
            self.connection.close()

    def reap(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)
        self.kill()
        self._process.wait()
        self._chatter.close()


def _module_path() -> tuple[str, ...]:
    return tuple(entry or os.getcwd() for entry in sys.path)
