"""Where effects are rendered: in this process, or in a pool of processes. The module does not know which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox_grad.dependencies import lazy_names

if TYPE_CHECKING:
    from blackbox_grad.hosts.answering import presets_in as presets_in
    from blackbox_grad.hosts.answering import save_preset_in as save_preset_in
    from blackbox_grad.hosts.by_name import host as host
    from blackbox_grad.hosts.by_name import host_names as host_names
    from blackbox_grad.hosts.default import default_host as default_host
    from blackbox_grad.hosts.default import new_host as new_host
    from blackbox_grad.hosts.default import opened_host as opened_host
    from blackbox_grad.hosts.in_process import InProcessHost as InProcessHost
    from blackbox_grad.hosts.lifeline import end_with_parent as end_with_parent
    from blackbox_grad.hosts.process_pool import ProcessPool as ProcessPool
    from blackbox_grad.hosts.process_pool import usable_cores as usable_cores
    from blackbox_grad.hosts.protocol import Host as Host

#: Loaded when first used: a host process, which imports this face, needs few of them.
_HOME = {
    "Host": "protocol",
    "InProcessHost": "in_process",
    "ProcessPool": "process_pool",
    "default_host": "default",
    "end_with_parent": "lifeline",
    "host": "by_name",
    "host_names": "by_name",
    "new_host": "default",
    "opened_host": "default",
    "presets_in": "answering",
    "save_preset_in": "answering",
    "usable_cores": "process_pool",
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOME)
