"""Memory that a pool and its hosts share: audio, cotangents, points and results of a call, without copies.

The memory has no name in a file system, so it leaves nothing behind, however the processes end.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import mmap
import os
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from blackbox_grad.hosts.limits import check_memory, limits_named

#: Unused blocks kept for the next call.
_SPARE_BLOCKS = 8

#: Smaller results are copied: a block costs whole pages and two file descriptors.
_SMALLEST_LENT = 1 << 16

#: Results that callers may keep in shared memory. Beyond that, as for a data set, they get copies.
_MOST_LENT = 64


class Block:
    """Memory behind a file descriptor, which another process can receive. Freed with the last reference to it."""

    def __init__(self, number: int, size: int, fd: int | None = None) -> None:
        self.number = number
        self.size = size
        self.fd = _new_file() if fd is None else fd
        self._close_fd = weakref.finalize(self, os.close, self.fd)
        try:
            if fd is None:
                os.ftruncate(self.fd, size)
            self.address = _map(None, size, mmap.MAP_SHARED, self.fd)
        except BaseException:
            self._close_fd()
            raise
        unmap = weakref.finalize(self, _c_library().munmap, self.address, size)
        self._close_fd.atexit = unmap.atexit = False  # arrays may live longer, and the system does it then
        self.memory = memoryview((ctypes.c_char * size).from_address(self.address)).cast("B")
        self.ready = self.private = False
        self.spoiled = False

    def array(self, shape: tuple[int, ...], kind: DTypeLike = np.float32) -> NDArray[Any]:
        """A view that does not keep the block alive."""
        return np.ndarray(shape, kind, self.memory)

    def make_private(self) -> None:
        """Make it ordinary memory: a forked child gets a copy, and no other process sees it."""
        if not self.private:
            _map(self.address, self.size, mmap.MAP_PRIVATE | _MAP_FIXED, self.fd)
        self.private = self.spoiled = True

    def spoil(self) -> None:
        """Never use it again, nor let a further process receive it."""
        self.spoiled, self.ready = True, False
        self._close_fd()

    def close(self) -> None:
        """No further process can receive it."""
        self.make_private()
        self._close_fd()


def _new_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("blackbox_grad")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


#: The same number on Linux and macOS.
_MAP_FIXED = 0x10


def _map(address: int | None, size: int, flags: int, fd: int) -> int:
    """`mmap` of the C library: Python's keeps its own descriptor, and cannot map the same address again."""
    mapped = _c_library().mmap(address, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, 0)
    if mapped in (None, ctypes.c_void_p(-1).value):
        error = ctypes.get_errno()
        raise OSError(error, f"cannot map {size} bytes of shared memory: {os.strerror(error)}")
    return int(mapped)


@functools.cache
def _c_library() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


class _Lease:
    """What an array in a block refers to. Gives the block back when the last such array is gone, on any thread."""

    def __init__(self, block: Block, shape: tuple[int, ...], kind: DTypeLike, memory: SharedMemory) -> None:
        self.__array_interface__ = {
            "shape": shape,
            "typestr": np.dtype(kind).str,
            "data": (block.address, False),
            "version": 3,
        }
        self._block, self._memory = block, weakref.ref(memory)

    def __del__(self) -> None:
        memory = self._memory()
        if memory is not None:
            memory.returned.append(self._block)  # takes no lock: the garbage collector may call this at any moment


class SharedMemory:
    """Arrays in blocks. A block is reused when the last array in it is gone.

    Args:
        dropped: called with the number of a block that will not be used again.
    """

    def __init__(self, dropped: Callable[[int], None]) -> None:
        self._dropped = dropped
        self._lock = threading.Lock()
        self._made = 0
        self._spare: list[Block] = []  # least recently used first
        self._lent: dict[int, Block] = {}
        self.returned: deque[Block] = deque()
        _memories.add(self)

    def empty(self, shape: tuple[int, ...], kind: DTypeLike = np.float32) -> NDArray[Any]:
        """An array that is not initialised."""
        size = max(math.prod(shape) * np.dtype(kind).itemsize, 1)
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        with self._lock:
            self._collect()
            fitting = [b for b in self._spare if size <= b.size <= 2 * size]
            if fitting:
                block = min(fitting, key=lambda b: b.size)
                self._spare.remove(block)
            else:
                self._made += 1
                check_memory(size, "this call")
                with limits_named("share memory with host processes"):
                    block = Block(self._made, size)
            block.ready = False
            self._lent[block.address] = block
        return np.asarray(_Lease(block, shape, kind, self))

    def share(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array itself if it lies in a block, otherwise a copy in one."""
        block = self._lent.get(_address(array))
        seen = block is not None and not block.private and array.nbytes <= block.size
        if seen and array.flags.c_contiguous and array.dtype == np.float32:
            return array
        shared = self.empty(array.shape)
        shared[...] = array
        self.block_of(shared).ready = True
        return shared

    def give(self, array: NDArray[Any]) -> NDArray[Any]:
        """A finished array for a caller to keep: itself, or a copy if it is small or callers keep many already."""
        if not self.may_lend(array):
            return array.copy()
        self.block_of(array).ready = True
        return array

    def may_lend(self, array: NDArray[Any]) -> bool:
        """Whether a caller may keep this array in its block."""
        with self._lock:
            self._collect()
            return array.nbytes >= _SMALLEST_LENT and len(self._lent) <= _MOST_LENT

    @contextlib.contextmanager
    def lending(self) -> Iterator[Callable[[NDArray[Any]], NDArray[Any]]]:
        """For one call: if it fails, the arrays that it made are spoilt.

        Nothing of them is left then but memory, until the error is forgotten: its traceback holds the arrays.
        """
        lent: list[NDArray[Any]] = []

        def lend(array: NDArray[Any]) -> NDArray[Any]:
            lent.append(array)
            return array

        try:
            yield lend
        except BaseException:
            for array in lent:
                self.spoil(array)
            raise
        finally:
            lent.clear()

    def spoil(self, array: NDArray[Any]) -> None:
        """Never reuse its block: a host that is being killed may still write to it."""
        self.block_of(array).spoil()

    def block_of(self, array: NDArray[Any]) -> Block:
        """The block that an array from here lies in."""
        return self._lent[_address(array)]

    def _collect(self) -> None:
        while self.returned:
            block = self.returned.popleft()
            self._lent.pop(block.address, None)
            if block.spoiled:
                self._dropped(block.number)
            else:
                self._spare.append(block)
        while len(self._spare) > _SPARE_BLOCKS:
            self._dropped(self._spare.pop(0).number)

    def part(self) -> None:
        """Before a fork: arrays that callers hold become ordinary memory, so that parent and child each have their own."""
        for block in tuple(self._lent.values()):
            if block.ready:
                block.make_private()

    def close(self) -> None:
        """Release everything but the arrays that callers hold."""
        with self._lock:
            self._collect()
            self._spare.clear()
        for block in tuple(self._lent.values()):
            if block.ready:
                block.close()


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


_memories: weakref.WeakSet[SharedMemory] = weakref.WeakSet()


def _part_all() -> None:
    for memory in tuple(_memories):
        memory.part()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_part_all)
