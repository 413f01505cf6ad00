"""Temporary folders of host processes. What a killed host leaves in its own is removed with it.

All folders of one parent lie in one, which it holds locked. A parent removes the folders of parents that have died: nobody locks
them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
import weakref
from pathlib import Path

_PREFIX = "blackbox_grad-hosts-"

_LOCK = "locked-by-its-parent"

#: Seconds after which a folder without a lock belongs to nobody. Before, its parent may be about to lock it.
_YOUNG = 60.0


class Scratch:
    """A folder of this process, with a folder for each host."""

    def __init__(self) -> None:
        import fcntl  # not on Windows, where the pool refuses with a reason

        _remove_abandoned()
        self.process = os.getpid()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self._made = 0
        weakref.finalize(self, _remove, self.path, self._lock, self.process)

    def folder(self) -> Path:
        """A new folder for one host."""
        self._made += 1
        path = self.path / str(self._made)
        path.mkdir(parents=True)
        return path


def _remove(path: Path, lock: int, process: int) -> None:
    if os.getpid() == process:  # a forked child must leave its parent's folder alone
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(lock)


def _remove_abandoned() -> None:
    import fcntl

    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < _YOUNG:
                continue
            lock = os.open(path / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its parent lives
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


_ours: Scratch | None = None

_guard = threading.Lock()


def scratch_folder() -> Path:
    """A new temporary folder for one host of this process."""
    global _ours
    with _guard:
        if _ours is None or _ours.process != os.getpid() or not _ours.path.is_dir():
            _ours = Scratch()
        return _ours.folder()


def _renew_guard() -> None:
    global _guard
    _guard = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_guard)
