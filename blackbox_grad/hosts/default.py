"""The host that all modules of this process share."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blackbox_grad.hosts.process_pool import ProcessPool

_default: ProcessPool | None = None


_default_lock = threading.Lock()


def default_host() -> ProcessPool:
    """The process pool that all modules of this process share, one host a core; made when first asked for."""
    from blackbox_grad.hosts.process_pool import ProcessPool

    global _default
    with _default_lock:
        if _default is None or _default.closed:
            _default = ProcessPool()
        return _default


def _forget_default() -> None:
    """A forked child must not talk to its parent's hosts: it makes its own."""
    global _default, _default_lock
    _default, _default_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_default)
