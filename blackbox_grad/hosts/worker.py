"""The program of a host process: effects on its main thread, no torch, audio in shared memory.

`python -m blackbox_grad.hosts.worker FD LINE PARENT` starts it. It communicates over the socket FD, and ends when its parent does:
the pipe LINE is the parent's `lifeline`.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np

from blackbox_grad.effects.opening import SelectedEffect
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import HostError
from blackbox_grad.hosts.answering import answered
from blackbox_grad.hosts.answers import Answer, Description, Done, Failed, Opened, Opening, Ready, Told, encode, portable
from blackbox_grad.hosts.channel import Channel
from blackbox_grad.hosts.limits import OUT_OF_SOMETHING, remedy
from blackbox_grad.hosts.messages import Ask, Attachments, Open, Run, Subject, Tidy
from blackbox_grad.hosts.opened import OpenedEffects
from blackbox_grad.hosts.recent import Recent
from blackbox_grad.hosts.rendering import ignore_overflow, probe_segments, probe_value, render_into
from blackbox_grad.hosts.shared_memory import Block
from blackbox_grad.hosts.table import Table

#: Bytes of a plug-in's output that a host keeps for error messages.
MOST_CHATTER = 1 << 20

#: Seconds for one render of a first look. A host that exceeds it ends, and the next one opens the effect without a look.
LOOK_LIMIT = 10.0


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """End this process if the block takes longer.

    The kernel ends it, so this works while a plug-in hangs with the interpreter locked, and after the parent has died.
    """
    began = time.monotonic()
    around, _ = signal.setitimer(signal.ITIMER_REAL, seconds)  # of a block around this one
    if around and around < seconds:
        signal.setitimer(signal.ITIMER_REAL, around)
    try:
        yield
    finally:
        left = max(around - (time.monotonic() - began), 1e-3) if around else 0.0
        signal.setitimer(signal.ITIMER_REAL, left)


def _take(block: Block, table: Table, host: int) -> int | None:
    """The next render that no host has begun. A lock, which ends with its process, keeps two hosts from taking the same.

    Nobody waits for a lock: whoever holds it has just begun that render, or was stopped, and there are others.
    """
    import fcntl  # not on Windows, where the pool refuses with a reason

    first = int(table.taken.argmin())
    if table.taken[first] != 0:
        return None
    for index in itertools.chain([first], _free(table)):
        try:
            fcntl.lockf(block.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, index)
        except OSError:
            continue
        try:
            if table.taken[index] == 0:
                table.taken[index] = host
                return int(index)
        finally:
            fcntl.lockf(block.fd, fcntl.LOCK_UN, 1, index)
    return None


def _free(table: Table) -> Iterator[int]:
    yield from np.flatnonzero(table.taken == 0).tolist()


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

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._specs: Recent[EffectSpec] = Recent()
        self._blocks: dict[int, Block] = {}
        self._effects = OpenedEffects(lambda: _alarm(LOOK_LIMIT))
        self._damaged = False  # it lacks memory that its parent believes it to have

    def serve(self) -> None:
        """Answer messages until the parent closes its end."""
        with contextlib.suppress(EOFError, ConnectionError):
            self._say(Ready())
            while True:
                answer = self.handle(pickle.loads(self._channel.receive()))
                if answer is not None:
                    self._say(answer)
                if self._damaged:
                    return
        self._effects.close()

    def _say(self, answer: Answer) -> None:
        self._channel.send(encode(answer))

    def handle(self, message: Open | Ask | Run | Tidy) -> Answer | None:
        match message:
            case Open():
                return self.open(message)
            case Ask():
                return self.ask(message)
            case Run():
                return self.run(message)
            case Tidy():
                self._attach(message.attachments)
        return None

    def _attach(self, attachments: Attachments) -> None:
        for number in attachments.stale:
            self._blocks.pop(number, None)
        self._damaged = True
        for number, size in attachments.fresh:
            fd = self._channel.descriptor()
            if fd is None:  # the system did not let it in
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            os.set_inheritable(fd, False)
            self._blocks[number] = Block(number, size, fd)
        self._damaged = False

    def _learn(self, subject: Subject) -> EffectSpec:
        self._specs[subject.key] = subject.spec or self._specs[subject.key]
        sys.path.extend(entry for entry in subject.path if entry not in sys.path)
        return self._specs[subject.key]

    def _effect(self, subject: Subject, spec: EffectSpec, limit: float) -> SelectedEffect:
        if subject.key in self._effects:
            return self._effects.get(subject.key, spec)
        self._say(Opening())
        with _alarm(limit):
            effect = self._effects.get(subject.key, spec)
        self._say(Opened())
        return effect

    def open(self, message: Open) -> Description | Failed:
        spec = self._learn(message.subject)
        try:
            description = Description.of(self._effect(message.subject, spec, message.time_limit))
            encode(description)
        except Exception as error:
            return _failed(error, spec)
        return description

    def ask(self, message: Ask) -> Told | Failed:
        spec = self._learn(message.subject)
        try:
            effect = self._effect(message.subject, spec, message.open_limit)
            with _alarm(message.time_limit):
                told = Told(answered(effect, message.question, message.arguments))
            encode(told)
        except Exception as error:
            return _failed(error, spec)
        return told

    def run(self, message: Run) -> Done | Failed:
        index = None
        work, layout = message.work, message.work.layout
        spec = self._learn(message.subject)
        try:
            self._attach(message.attachments)
            effect = self._effect(message.subject, spec, work.open_limit)
            block = self._blocks[work.table]
            table = layout.table(block.memory)
            audio, other = self._blocks[work.audio].array(layout.audio), self._blocks[work.other].array(layout.other)
            values = effect.parameters.complete_all(table.points)
            with ignore_overflow():
                while (index := _take(block, table, work.host)) is not None:
                    probe, item = divmod(index, layout.batch)
                    with _alarm(work.time_limit):
                        if layout.mode == "render":
                            result = render_into(effect, audio[item], values[probe, item], other[probe, item])
                        elif layout.segments:
                            part = values[probe, item], other[item], table.bounds, table.parts[index]
                            result = probe_segments(effect, audio[item], *part)
                        else:
                            result = probe_value(effect, audio[item], values[probe, item], other[item])
                    table.values[index] = result
                    table.done[index] = 1
        except Exception as error:
            return _failed(error, spec, -1 if index is None else index)
        return Done()


def _failed(error: Exception, spec: EffectSpec, index: int = -1) -> Failed:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in OUT_OF_SOMETHING):
        return Failed(HostError(f"{spec.address}: a host process cannot go on: {remedy(error)}"), index)
    return Failed(portable(error, spec.address), index)


def main() -> None:
    fd, line, parent = map(int, sys.argv[1:4])
    for descriptor in (fd, line):
        os.set_inheritable(descriptor, False)  # a program that a plug-in starts must not keep it open
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    Worker(Channel(socket.socket(fileno=fd))).serve()
    os._exit(0)  # a plug-in's static destructors may hang or crash, and we have nothing left to do


if __name__ == "__main__":
    main()
