"""Where effects are rendered: in this process, or in a pool of processes. The module does not know which."""

from __future__ import annotations

from blackbox_grad.hosts.default import default_host
from blackbox_grad.hosts.in_process import InProcessHost
from blackbox_grad.hosts.process_pool import ProcessPool, usable_cores
from blackbox_grad.hosts.protocol import Host

__all__ = ["Host", "InProcessHost", "ProcessPool", "default_host", "usable_cores"]
