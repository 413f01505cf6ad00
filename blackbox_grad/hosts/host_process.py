"""The parent's end of one host process: starts it, talks to it, ends it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pickle import dumps
from typing import Any, Literal, TypeAlias

from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.hosts.answers import Description, Done, Failed, Opened, Opening, Ready, Told, decode
from blackbox_grad.hosts.channel import Channel, GarbageError, wait
from blackbox_grad.hosts.ending import End, MemoryKills
from blackbox_grad.hosts.lifeline import Lifeline, offer_to_the_memory_killer
from blackbox_grad.hosts.limits import limits_named
from blackbox_grad.hosts.messages import Ask, Attachments, Open, Run, Subject, Tidy, Work
from blackbox_grad.hosts.recent import Recent
from blackbox_grad.hosts.scratch import scratch_folder
from blackbox_grad.hosts.shared_memory import Block

#: The program of a host. It imports nothing from the working directory, which may hold a `signal.py`.
_PROGRAM = "import sys; sys.path[:] = sys.argv[4:]; del sys.argv[4:]; from blackbox_grad.hosts import worker; worker.main()"

#: For glibc's malloc. No cache of small freed memory, so that a backend can have all new memory zeroed at no cost. And freed memory
#: is kept (up to 64 MiB): the buffers of a render would come from the system each time, page by page.
_MALLOC = (
    "glibc.malloc.tcache_count=0:glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=67108864:"
    "glibc.malloc.top_pad=1048576"
)

#: A host ends itself at its time limit. If it cannot, the pool ends it this many seconds later. A host that has nothing to do but
#: to take the next render, and does not, is stopped or hung: the pool ends it after as long.
GRACE = 5.0

#: Seconds in which Python must have started in a host, on the busiest machine.
_STARTING = 120.0

#: A host starts; has nothing to do; is about to take a render, or renders; opens an effect.
Phase: TypeAlias = Literal["starting", "idle", "called", "opening"]


_memory_kills = MemoryKills()


class HostDiedError(Exception):
    """A host process ended in the middle of its work."""


class HostProcess:
    """The parent's end of one host process.

    Args:
        number: distinguishes it from the other hosts of its pool.

    Attributes:
        owes: whether it has not answered the last message. A host may answer after the call is over.
        phase: what it does, as far as it has said.
        since: when that began, in seconds of `time.monotonic`.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.owes = False
        self.phase: Phase = "starting"
        self.since = time.monotonic()
        self.limits = 0.0, 0.0
        self._limit_met: float | None = None
        self._rendering: int | None = None
        self._said = 0
        self._specs: Recent[None] = Recent()
        self._attached: set[int] = set()
        self._stale: set[int] = set()
        with limits_named("start a host process"):
            self._start()

    def _start(self) -> None:
        import fcntl  # not on Windows, where the pool refuses with a reason

        with contextlib.ExitStack() as undo:
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            line = Lifeline()
            undo.callback(line.cut)
            self._scratch = scratch_folder()
            undo.callback(shutil.rmtree, self._scratch, ignore_errors=True)
            # without a name: it disappears with the last process that has it open
            self._chatter = undo.enter_context(tempfile.TemporaryFile())
            flags = fcntl.fcntl(self._chatter, fcntl.F_GETFL)
            fcntl.fcntl(self._chatter, fcntl.F_SETFL, flags | os.O_APPEND)
            with theirs:  # closed here, or the parent would never see that the host has died
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-c",
                        _PROGRAM,
                        str(theirs.fileno()),
                        str(line.reading),
                        str(os.getpid()),
                        *_module_path(),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=self._chatter,
                    stderr=self._chatter,
                    pass_fds=(theirs.fileno(), line.reading),
                    env=_environment() | {"TMPDIR": str(self._scratch)},
                    start_new_session=True,  # Ctrl-C in a terminal is for the parent alone
                )
            line.tie(self._process.pid)
            offer_to_the_memory_killer(self._process.pid)
            self._channel = Channel(ours)
            self._release = undo.pop_all()

    # what it is told

    def open(self, key: str, spec: EffectSpec, limit: float) -> None:
        """Have it open an effect. Raises `HostDiedError` if nobody listens."""
        self._call(Open(self._subject(key, spec), limit), (), (limit, limit))

    def ask(self, key: str, spec: EffectSpec, question: str, arguments: tuple[Any, ...], limits: tuple[float, float]) -> None:
        """Have it ask an effect. Raises `HostDiedError` if nobody listens."""
        self._call(Ask(self._subject(key, spec), question, arguments, *limits), (), limits)

    def run(self, key: str, spec: EffectSpec, work: Work, blocks: Sequence[Block]) -> None:
        """Have it take renders, in these blocks. Raises `HostDiedError` if nobody listens."""
        fresh = [block for block in blocks if block.number not in self._attached]
        message = Run(self._subject(key, spec), self._attachments(fresh), work)
        self._call(message, [block.fd for block in fresh], (work.open_limit, work.time_limit))

    def tidy(self) -> None:
        """Have an idle host let go of blocks that will not be used again. Raises `HostDiedError` if nobody listens."""
        if self._stale & self._attached:
            self._send(Tidy(self._attachments([])), ())

    def detach_later(self, number: int) -> None:
        self._stale.add(number)

    def _subject(self, key: str, spec: EffectSpec) -> Subject:
        known = key in self._specs
        self._specs[key] = None
        return Subject(key) if known else Subject(key, spec, _module_path())

    def _attachments(self, fresh: Sequence[Block]) -> Attachments:
        stale = []
        while self._stale:  # other threads add to it
            stale.append(self._stale.pop())
        stale = [number for number in stale if number in self._attached]
        self._attached.difference_update(stale)
        self._attached.update(block.number for block in fresh)
        return Attachments(tuple((block.number, block.size) for block in fresh), tuple(stale))

    def _call(self, message: Open | Ask | Run, descriptors: Sequence[int], limits: tuple[float, float]) -> None:
        self.limits = limits
        self._rendering = None
        self.owes = True
        if self.phase == "idle":  # what it printed while it started may say why it will not
            self._said = self._printed()
            self._enter("called")
        self._send(message, descriptors)

    def _send(self, message: Open | Ask | Run | Tidy, descriptors: Sequence[int]) -> None:
        try:
            self._channel.send(dumps(message), descriptors, limit=GRACE)
        except (ConnectionError, TimeoutError) as error:
            raise HostDiedError from error
        except OSError as error:
            with limits_named("hand memory to a host process"):
                raise error

    # what it says

    def fileno(self) -> int:
        return self._channel.fileno()

    def hear(self) -> Description | Done | Failed | Told | None:
        """Its answer, if it is there. Waits for nothing.

        Raises:
            HostDiedError: it has ended.
            GarbageError: it says something that is no answer.
        """
        ended = not self.alive()
        try:
            messages = self._channel.arrived()
        except EOFError as error:
            raise HostDiedError from error
        if ended and not messages:  # its end of the connection may still be open, in a program that a plug-in started
            raise HostDiedError
        for position, data in enumerate(messages):
            try:
                answer = decode(data)
            except ValueError as error:
                raise GarbageError(f"{data[:60]!r}: {error}") from error
            if isinstance(answer, (Ready, Opening, Opened)):
                self._enter("opening" if isinstance(answer, Opening) else "called" if self.owes else "idle")
                continue
            if not self.owes or position + 1 < len(messages):
                raise GarbageError(f"{data[:60]!r}: nobody has asked")
            self.owes = False
            self._enter("idle")
            return answer
        return None

    def answer(self, working: bool = False) -> Description | Done | Failed | Told:
        """Wait for its answer. Raises as `hear`, also after a limit was met.

        Args:
            working: once the effect is open, it has as long as for a render.
        """
        while True:
            wait([self._channel], 0.5)
            if (answer := self.hear()) is not None:
                return answer
            self.end_if_overdue(0 if working else None)

    def _enter(self, phase: Phase) -> None:
        self.phase, self.since = phase, time.monotonic()

    # limits and ends

    def end_if_overdue(self, rendering: int | None = None) -> None:
        """End it if it exceeds a limit and could not end itself.

        Args:
            rendering: the render that it has begun, if any.
        """
        if rendering != self._rendering:
            self._rendering, self.since = rendering, time.monotonic()
        open_limit, time_limit = self.limits
        if self.phase == "idle":
            return
        if self.phase == "starting":
            limit, grace = _STARTING, 0.0
        elif self.phase == "opening":
            limit, grace = open_limit, GRACE
        else:
            limit, grace = (0.0 if rendering is None else time_limit), GRACE
        if time.monotonic() - self.since > limit + grace and self.alive():
            self._limit_met = limit or grace
            self._process.kill()

    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> End:
        """How it ended. It is ended now if it does not do so by itself, but has closed its connection."""
        try:
            code = self._process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        limit = self.limits[0 if self.phase == "opening" else 1] if self._limit_met is None else self._limit_met
        overdue = self._limit_met is not None
        out_of_memory = code == -signal.SIGKILL and not overdue and _memory_kills.happened()
        return End(code, limit, overdue, self._last_words(), out_of_memory)

    def _printed(self) -> int:
        return os.fstat(self._chatter.fileno()).st_size

    def _last_words(self) -> str:
        """The end of what it printed since the last message, for an error message."""
        with contextlib.suppress(OSError, ValueError):
            size = self._printed()
            start = max(self._said if self._said <= size else 0, size - 1000)
            text = os.pread(self._chatter.fileno(), size - start, start).decode(errors="replace").strip()
            if text:
                return f". It last printed: {text}"
        return ""

    def kill(self) -> None:
        """End it. `bury` must follow."""
        if self._process.poll() is None:
            self._process.kill()

    def stop(self) -> None:
        """Ask it to end. `bury` must follow."""
        with contextlib.suppress(OSError):
            self._channel.shut()

    def bury(self, patience: float = 0.0) -> None:
        """Wait until it has ended, and end it after `patience` seconds. Nothing is left of it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=max(0.0, patience))
        self.kill()
        self._process.wait()  # or the system would keep its entry until this process ends
        self._release.close()


def _environment() -> dict[str, str]:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    tunables = ":".join(filter(None, (os.environ.get("GLIBC_TUNABLES"), _MALLOC)))
    return {**os.environ, **one_thread, "GLIBC_TUNABLES": tunables}


def _module_path() -> tuple[str, ...]:
    """Where this process imports from. Python overlooks entries that are no text, such as `Path` objects."""
    return tuple(entry or os.getcwd() for entry in sys.path if isinstance(entry, str))
