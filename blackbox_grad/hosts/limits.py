"""Limits of the system as errors with a way out: open files, processes, memory, disk."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import HostError

#: Bytes from which it is worth asking how much memory there is.
_LARGE = 1 << 27


#: Numbers of the errors with which the system refuses more of something.
OUT_OF_SOMETHING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EAGAIN})


@contextlib.contextmanager
def limits_named(doing: str) -> Iterator[None]:
    """Turn what the system refuses into a `HostError`: "cannot start a host process: …"."""
    try:
        yield
    except (OSError, MemoryError, OverflowError) as error:
        raise HostError(f"cannot {doing}: {remedy(error)}") from error


@contextlib.contextmanager
def errors_of(spec: EffectSpec) -> Iterator[None]:
    """Name the effect in a `HostError`."""
    try:
        yield
    except HostError as error:
        if spec.address in str(error):
            raise
        raise HostError(f"{spec.address}: {error}") from error


def remedy(error: BaseException) -> str:
    """Which limit an error is about, and what to do."""
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM
    if number in (errno.EMFILE, errno.ENFILE, getattr(errno, "ETOOMANYREFS", errno.EMFILE)):
        return (
            f"too many open files{_limit('RLIMIT_NOFILE')}; raise the limit (`ulimit -n 4096`), keep fewer results, or use fewer "
            "hosts (BLACKBOX_GRAD_HOSTS=2)"
        )
    if number == errno.EAGAIN:
        return (
            f"too many processes or threads{_limit('RLIMIT_NPROC')}; raise the limit (`ulimit -u`), end other programs, or use "
            "fewer hosts (BLACKBOX_GRAD_HOSTS=2)"
        )
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"no space is left in {tempfile.gettempdir()}; make room, or set TMPDIR to a folder on another disk"
    if number in (errno.ENOMEM, errno.EFBIG, errno.EINVAL) or isinstance(error, (MemoryError, OverflowError)):
        return (
            f"not enough memory{_limit('RLIMIT_AS')}; render fewer items, fewer points or shorter audio at once, or use fewer "
            "hosts (BLACKBOX_GRAD_HOSTS=2)"
        )
    return str(error)


def _limit(name: str) -> str:
    """The process's own limit, for a message."""
    try:
        import resource  # not on Windows

        soft, _ = resource.getrlimit(getattr(resource, name))
    except (ImportError, AttributeError, OSError, ValueError):
        return ""
    return "" if soft == resource.RLIM_INFINITY else f" (the limit of this process is {soft})"


def check_memory(size: int, what: str) -> None:
    """Raise `HostError` if `size` bytes are more than the memory that is free: the system would end a process for want of it."""
    if size < _LARGE:
        return
    free = available_memory()
    if free is not None and size > free:
        raise HostError(
            f"{what} needs {size / 2**30:.3g} GiB of memory, and {free / 2**30:.3g} GiB are free; render fewer items, fewer "
            "points or shorter audio at once"
        )


def available_memory() -> int | None:
    """Bytes that can be used without swapping; None if the system does not tell."""
    found = [size for size in (_free_in_the_system(), _free_in_the_container()) if size is not None]
    return min(found) if found else None


def _free_in_the_system() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _free_in_the_container() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        group = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
        folder = Path("/sys/fs/cgroup", group.lstrip("/"))
        return int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    return None
