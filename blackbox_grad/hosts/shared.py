"""Memory that a pool and its hosts share: audio, cotangents, points and results of one call, without copies in between.

The memory has no name in any file system, so nothing is left behind however the processes end.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from blackbox_grad.effects import Audio
from blackbox_grad.parameters import FloatArray

Mode: TypeAlias = Literal["render", "probe"]

_ALIGNMENT = 64


class SharedBuffer:
    """A block of memory behind a file descriptor, which can be handed to another process."""

    def __init__(self, size: int, fd: int | None = None) -> None:
        self.size = size
        if fd is None:
            if hasattr(os, "memfd_create"):
                fd = os.memfd_create("blackbox_grad")
            else:
                with tempfile.TemporaryFile() as file:
                    fd = os.dup(file.fileno())
            os.ftruncate(fd, size)
        self.fd = fd
        self.memory = mmap.mmap(fd, size)

    def close(self) -> None:
        """Let this process's view go; views into it must be gone."""
        os.close(self.fd)
        self.memory.close()


@dataclass(frozen=True)
class Layout:
    """Where the arrays of one call lie in a shared buffer: `N = K·B` renders, item `i` being probe `i // B` of item `i % B`."""

    mode: Mode
    probes: int
    batch: int
    channels: int
    samples: int
    parameters: int

    @property
    def renders(self) -> int:
        return self.probes * self.batch

    def _arrays(self) -> dict[str, tuple[tuple[int, ...], type]]:
        batch = (self.batch, self.channels, self.samples)
        audio = (self.probes, *batch) if self.mode == "render" else batch
        return {
            "points": ((self.probes, self.batch, self.parameters), np.float64),
            "values": ((self.renders,), np.float64),
            "done": ((self.renders,), np.uint8),
            "audio": (batch, np.float32),
            "output" if self.mode == "render" else "cotangent": (audio, np.float32),
        }

    @property
    def size(self) -> int:
        """Bytes needed."""
        return self._offsets()[1]

    def _offsets(self) -> tuple[dict[str, int], int]:
        offsets, position = {}, 0
        for name, (shape, kind) in self._arrays().items():
            offsets[name] = position
            nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
            position += -(-nbytes // _ALIGNMENT) * _ALIGNMENT
        return offsets, max(position, mmap.PAGESIZE)

    def views(self, buffer: SharedBuffer) -> CallArrays:
        """The arrays of the call, as views into the buffer."""
        offsets, _ = self._offsets()
        arrays = {name: np.ndarray(shape, kind, buffer.memory, offsets[name]) for name, (shape, kind) in self._arrays().items()}
        arrays.setdefault("output", np.empty(0, np.float32))
        arrays.setdefault("cotangent", np.empty(0, np.float32))
        return CallArrays(**arrays)


@dataclass
class CallArrays:
    """Views of one call. `done[i]` is 1 when render `i` has its result in `values[i]` (and `output`)."""

    points: FloatArray
    values: FloatArray
    done: np.ndarray[tuple[int], np.dtype[np.uint8]]
    audio: Audio
    output: Audio
    cotangent: Audio
