"""torch's state on a thread: our own work does not depend on it, and what a caller gave runs in the caller's.

The default device, inference mode, gradients and autocast belong to a thread. The default type belongs to the process, so code here
names the type of every tensor that it makes.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch

#: Types of devices whose autocast is turned off for our own work.
_AUTOCASTING = ("cpu", "cuda", "xpu", "mps")

_Function = TypeVar("_Function", bound=Callable[..., Any])


@contextlib.contextmanager
def own_work(gradients: bool = False) -> Iterator[None]:
    """A block of our own work: new tensors on the CPU, no inference mode, no autocast; gradients only if asked for.

    Estimators of others run in it too, so `torch.zeros(3)` is on the CPU, where the points are.
    """
    with contextlib.ExitStack() as state:
        if torch.is_inference_mode_enabled():
            state.enter_context(torch.inference_mode(False))
        if torch.get_default_device().type != "cpu":
            state.enter_context(torch.device("cpu"))
        for device in _autocasting():
            state.enter_context(torch.autocast(device, enabled=False))
        state.enter_context(torch.set_grad_enabled(gradients))
        yield


def in_own_work(function: _Function) -> _Function:
    """A function that runs in `own_work`, and that `torch.compile` does not look into."""

    # torch.compiler.disable would load the compiler, which takes seconds
    @torch._disable_dynamo  # type: ignore[attr-defined,untyped-decorator,unused-ignore]
    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        with own_work():
            return function(*args, **options)

    return run  # type: ignore[return-value]


def state_as_now(device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    """A context that restores the present default device and autocast, on any thread, for a function that the caller gave.

    Args:
        device: where the function works.
    """
    default = torch.get_default_device()
    casts = [(kind, torch.get_autocast_dtype(kind)) for kind in _autocasting(device.type)]

    @contextlib.contextmanager
    def restored() -> Iterator[None]:
        with contextlib.ExitStack() as state:
            if torch.get_default_device() != default:
                state.enter_context(default)
            for kind, dtype in casts:
                state.enter_context(torch.autocast(kind, dtype))
            yield

    return restored


def _autocasting(*more: str) -> list[str]:
    """Types of devices for which autocast is on."""
    found = []
    for kind in dict.fromkeys((*_AUTOCASTING, *more)):
        with contextlib.suppress(RuntimeError):  # a device without autocast
            if torch.is_autocast_enabled(kind):
                found.append(kind)
    return found


class _OneThread:
    """torch on one thread while any block of any thread needs it: the other cores are the hosts', whose threads would wait for
    each other. And sums of several threads differ in their last bits.
    """

    def __init__(self) -> None:
        self._lock, self._blocks, self._before = threading.Lock(), 0, 1

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._blocks == 0:
                self._before = torch.get_num_threads()
            self._blocks += 1
            torch.set_num_threads(1)
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if self._blocks == 0:
                    torch.set_num_threads(self._before)


one_thread = _OneThread()
