"""Messages over a Unix socket, with file descriptors beside them. The parent waits for no host that stops in the middle of one."""

from __future__ import annotations

import array
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol, TypeVar

#: A mark and the length of the message that follows.
_HEADER = struct.Struct("<4sI")

_MARK = b"bgm1"

#: Bytes of the longest message. What claims to be longer is none.
LONGEST = 1 << 28

#: File descriptors that may come with one message.
_MOST_DESCRIPTORS = 8

_CHUNK = 1 << 16


class GarbageError(Exception):
    """What came is not a message."""


class Channel:
    """One end of a socket.

    Args:
        end: a connected stream socket.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._buffer = bytearray()
        self._descriptors: deque[int] = deque()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: bytes, descriptors: Sequence[int] = (), limit: float | None = None) -> None:
        """Send a message whole.

        Raises:
            OSError: the other end is closed, or has read nothing for `limit` seconds.
        """
        rest = memoryview(_HEADER.pack(_MARK, len(message)) + message)
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        while rest:
            try:
                rest = rest[self._socket.sendmsg([rest], beside, socket.MSG_DONTWAIT) :]
                beside = []
            except BlockingIOError:
                if not _ready(self._socket, select.POLLOUT, limit):
                    raise TimeoutError("the other end reads nothing") from None

    def receive(self) -> bytes:
        """Wait for one message. `descriptor` gives what came beside it.

        Raises:
            EOFError: the other end is closed.
        """
        while (message := self._next()) is None:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _CHUNK, _MOST_DESCRIPTORS)
            self._descriptors.extend(descriptors)
            if not data:
                raise EOFError
            self._buffer += data
        return message

    def descriptor(self) -> int | None:
        """The next file descriptor that came; None if the system refused it to this process."""
        return self._descriptors.popleft() if self._descriptors else None

    def arrived(self) -> list[bytes]:
        """The messages that are here. Waits for nothing, and accepts no file descriptor.

        Raises:
            EOFError: the other end is closed, and everything that it sent was read.
            GarbageError: it sent something else.
        """
        try:
            data = self._socket.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except ConnectionError:
            raise EOFError from None
        if not data:
            raise EOFError
        self._buffer += data
        messages: list[bytes] = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> bytes | None:
        if len(self._buffer) < _HEADER.size:
            if not _MARK.startswith(bytes(self._buffer[: len(_MARK)])):
                raise GarbageError(bytes(self._buffer))
            return None
        mark, length = _HEADER.unpack_from(self._buffer)
        if mark != _MARK or length > LONGEST:
            raise GarbageError(bytes(self._buffer[:64]))
        end = _HEADER.size + length
        if len(self._buffer) < end:
            return None
        message = bytes(self._buffer[_HEADER.size : end])
        del self._buffer[:end]
        return message

    def shut(self) -> None:
        """Tell the other end that nothing more comes, though a forked child may hold this end too."""
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


_End = TypeVar("_End", bound=_HasDescriptor)


def wait(ends: Sequence[_End], seconds: float) -> list[_End]:
    """Those that have something to read, after at most so many seconds."""
    poll = select.poll()
    by_number = {end.fileno(): end for end in ends}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(max(0.0, seconds) * 1000)]


def _ready(end: socket.socket, event: int, seconds: float | None) -> bool:
    poll = select.poll()
    poll.register(end, event)
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if poll.poll(left):
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False
