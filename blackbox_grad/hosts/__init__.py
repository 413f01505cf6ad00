"""Where effects are rendered: in this process, or in a pool of processes. The module does not know which."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol

from numpy.typing import NDArray

from blackbox_grad.effects import Audio, EffectInfo, EffectSpec
from blackbox_grad.errors import HostError
from blackbox_grad.parameters import FloatArray

if TYPE_CHECKING:
    import numpy as np

    from blackbox_grad.hosts.process_pool import ProcessPool


class Host(Protocol):
    """Renders batches. Every method may be called from any thread, and blocks until its result is there.

    `renders` and `nonfinite` count, over the host's life, all renders made and those among them with NaN or infinity.
    """

    renders: int
    nonfinite: int

    def open(self, spec: EffectSpec) -> EffectInfo:
        """Open the effect if it is not open yet, and describe it."""
        ...

    def share(self, audio: Audio) -> Audio:
        """The same audio where the host can read it: given to several calls, it is copied once."""
        ...

    def render_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray) -> tuple[Audio, NDArray[np.bool_]]:
        """Render each item at its point, or at several.

        Args:
            spec: the effect.
            audio: `[B, C, T] float32`.
            points: `[B, P]` or `[K, B, P]` in [0, 1].

        Returns:
            audio of shape `[B, C, T]` or `[K, B, C, T]`, and which renders are finite, `[B]` or `[K, B]`.
        """
        ...

    def probe_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray, cotangent: Audio) -> FloatArray:
        """Cotangent probes: `⟨ȳ, f(x, p)⟩` for each item and point; the dot product is taken where the render happens.

        Args:
            spec: the effect.
            audio: `[B, C, T] float32`.
            points: `[K, B, P]` in [0, 1].
            cotangent: `[B, C, T] float32`.

        Returns:
            `[K, B] float64`; NaN where a render was not finite.
        """
        ...

    def close(self) -> None:
        """Let all effects and processes go. Safe to call twice."""
        ...


def usable_cores() -> int:
    """Cores this process may run on; `BLACKBOX_GRAD_HOSTS` overrides it."""
    wanted = os.environ.get("BLACKBOX_GRAD_HOSTS", "")
    if wanted:
        if not wanted.isdigit() or int(wanted) < 1:
            raise HostError(f"BLACKBOX_GRAD_HOSTS={wanted!r} must be a whole number of processes, 1 or more")
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


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
