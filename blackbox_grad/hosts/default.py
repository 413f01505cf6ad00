"""The host where the caller gives none: one that all modules of this process share, or one for a single piece of work."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from blackbox_grad.errors import HostError
from blackbox_grad.hosts.by_name import host as find_host

if TYPE_CHECKING:
    from blackbox_grad.hosts.protocol import Host

#: Names the default host: a description, as `blackbox_grad.hosts.host` reads it.
VARIABLE = "BLACKBOX_GRAD_HOST"

#: The default where the variable is not set.
_POOL = "processes"

_default: Host | None = None

_default_lock = threading.Lock()


def default_host() -> Host:
    """The host that all modules of this process share. The first call makes it; a call after it was `closed` makes a new one.

    It is a process pool with one process per core, or the host that the variable `BLACKBOX_GRAD_HOST` describes
    ("processes:hosts=4", "in-process").
    """
    global _default
    with _default_lock:
        if _default is None or getattr(_default, "closed", False):
            _default = new_host()
        return _default


def new_host(description: str | None = None, **limits: Any) -> Host:
    """A new host, which the caller closes: from the description, else from `BLACKBOX_GRAD_HOST`, else a process pool.

    Args:
        description: "processes:hosts=4", "in-process", or a host of another package.
        limits: `hosts`, `time_limit`, `open_limit` of the process pool, unless the description sets them. Other hosts have
            their own limits.
    """
    if not description and (described := os.environ.get(VARIABLE)):
        try:
            return new_host(described, **limits)
        except HostError as error:
            raise HostError(f"{VARIABLE}={described!r}: {error}") from error
    name, _, options = (description or _POOL).partition(":")
    if name == _POOL:
        defaults = [f"{key}={value}" for key, value in limits.items() if value is not None]
        options = ",".join(filter(None, [*defaults, options]))  # of two with the same key, the last one counts
    return find_host(f"{name}:{options}" if options else name)


@contextlib.contextmanager
def opened_host(host: str | Host | None = None, **limits: Any) -> Iterator[Host]:
    """A host for one piece of work. A host that the caller gives stays open; one made here is closed at the end.

    Args:
        host: a host, or a description for `new_host`.
        limits: as for `new_host`.
    """
    if host is not None and not isinstance(host, str):
        yield find_host(host)
        return
    made = new_host(host, **limits)
    try:
        yield made
    finally:
        made.close()


def _forget_default() -> None:
    """A forked child must not use its parent's hosts: it makes its own."""
    global _default, _default_lock
    _default, _default_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_default)
