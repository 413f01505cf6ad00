"""Hosts by name: `"processes:hosts=2,time_limit=30"` becomes a host.

A third party registers its own host in its `pyproject.toml`, without touching the core:

    [project.entry-points."blackbox_grad.hosts"]
    mine = "my_package:MyHost"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from blackbox_grad.by_name import made
from blackbox_grad.dependencies import entry_points_of
from blackbox_grad.errors import HostError

if TYPE_CHECKING:
    from blackbox_grad.hosts.protocol import Host

HOSTS = "blackbox_grad.hosts"


def host_names() -> list[str]:
    """Names of all registered hosts."""
    return sorted(entry_points_of(HOSTS))


def host(description: str | Host) -> Host:
    """A host from `"name"` or `"name:option=value,option=value"`; a host passes through.

    A name with a dot is a class that is not registered, in an importable module: `"my_package.Mine:address=…"`.
    The caller closes a host that this function makes.

    >>> host("processes:hosts=2,time_limit=30")
    ProcessPool(hosts=2, time_limit=30, open_limit=180)

    Raises:
        HostError: the name is unknown, the options are wrong, or the result is not a host.
    """
    found = made(HOSTS, "host", description, HostError, "render_batch") if isinstance(description, str) else description
    if isinstance(found, type) or not callable(getattr(found, "render_batch", None)):
        raise HostError(
            f"host={description!r} is not a host; give ProcessPool(…), InProcessHost(), a description "
            f"(known: {', '.join(host_names())}), or leave it out"
        )
    return cast("Host", found)
