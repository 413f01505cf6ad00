"""Where effects are rendered: in this process, or in a pool of processes. The module does not know which."""

from __future__ import annotations

from blackbox_grad.hosts.by_name import host, host_names
from blackbox_grad.hosts.default import default_host, host_or_default, new_host, opened_host
from blackbox_grad.hosts.in_process import InProcessHost
from blackbox_grad.hosts.process_pool import ProcessPool, usable_cores
from blackbox_grad.hosts.protocol import Host

__all__ = [
    "Host",
    "InProcessHost",
    "ProcessPool",
    "default_host",
    "host",
    "host_names",
    "host_or_default",
    "new_host",
    "opened_host",
    "usable_cores",
]
