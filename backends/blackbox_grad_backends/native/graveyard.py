"""Native objects are destroyed on the thread that made them, and on no other.

Python destroys an object on the thread that drops the last reference. That may be any: one that runs the cyclic collector, one
that calls `close`, one that forgets an error with its frames. A plug-in that is destroyed outside its host library's message
thread freezes the process (VST2 and VST3 in DawDreamer).

So an effect keeps its native objects in `Natives`, and this module holds a reference to them too. When the effect is closed or
collected, on any thread, they are buried: they wait here. The thread that made them empties the graveyard at its next open, close
or render; the main thread as soon as it runs any Python code, and at exit. An object that somebody still holds, such as a render
on another thread or the traceback of an error, waits longer.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import os
import sys
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from blackbox_grad.effects import float_mode_kept
from blackbox_grad.errors import RenderError
from blackbox_grad_backends.native.output import quiet

#: Seconds that the end of the process waits for other threads' renders. A thread that returns from native code later aborts.
LONGEST_LAST_RENDER = 5.0


class Natives:
    """The native objects of one effect, by name, and the only lasting references to them.

    They are destroyed in reverse order: the last set is the first to go. After `close` there are none.
    """

    def __init__(self) -> None:
        self._grave = _Grave(weakref.ref(_here.life))
        _living.add(self._grave)

    def __setitem__(self, name: str, native: Any) -> None:
        if name in self._grave.natives:
            self.destroy(name)
        for grave in tuple(_graves):  # DawDreamer may give a new processor the Python object of one that is not destroyed yet
            for buried in [n for n, one in tuple(grave.natives.items()) if one is native]:
                del grave.natives[buried]
        self._grave.natives[name] = native

    def __getitem__(self, name: str) -> Any:
        try:
            return self._grave.natives[name]
        except KeyError:
            raise RenderError("the effect was closed while it rendered; open it again") from None

    def __contains__(self, name: str) -> bool:
        return name in self._grave.natives

    def destroy(self, name: str) -> None:
        """Destroy one now, if this thread made it and nobody else holds it; otherwise as soon as that is true."""
        grave = _Grave(self._grave.owner, {name: self._grave.natives.pop(name)})
        if grave.is_mine():
            grave.empty()
        if grave.natives:
            _bury(grave)

    def close(self) -> None:
        """Destroy all now, or as soon as that is allowed. Safe to call twice, and on every thread."""
        grave, self._grave = self._grave, _Grave(self._grave.owner)
        _bury(grave)
        if not _here.working:
            empty()

    def __del__(self) -> None:
        # Only buries: the collector may have interrupted the host library in the middle of a call.
        _bury(self._grave)


@dataclass(eq=False)
class _Grave:
    """Native objects that are destroyed together, in reverse order."""

    owner: weakref.ref[_Life]
    natives: dict[str, Any] = field(default_factory=dict)

    def is_mine(self) -> bool:
        """Whether this thread made them, or is the main thread and the one that made them has ended."""
        owner = self.owner()
        if owner is None:
            return threading.get_ident() == threading.main_thread().ident
        return owner is _here.life

    def empty(self) -> None:
        """Destroy them, down to one that somebody else holds."""
        while self.natives:
            last = next(reversed(self.natives))
            kept = id(self.natives[last]) in _forever
            if sys.getrefcount(self.natives[last]) > _ALONE and not kept:
                return
            with quiet(), float_mode_kept():
                del self.natives[last]


class _Life:
    """Ends with the thread whose `_here` holds it. (`Thread.is_alive` takes locks, which the code that we interrupt may hold.)"""


class _Here(threading.local):
    """Of this thread: its life, and how many blocks of `undisturbed` it is in."""

    def __init__(self) -> None:
        self.life = _Life()
        self.working = 0


_here = _Here()

_box = {"": object()}

#: `sys.getrefcount` of an object that only a dict holds.
_ALONE = sys.getrefcount(_box[""])

#: `id` of objects that are never destroyed.
_forever: set[int] = set()

#: Threads inside a block of `undisturbed`.
_busy: set[int] = set()

#: Whether the process is ending.
_over = False

#: Every effect's native objects: what this set holds, no collector finds.
_living: set[_Grave] = set()

_graves: deque[_Grave] = deque()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Nothing buried is destroyed on this thread inside the block. What it may destroy is destroyed when the block ends.

    What a plug-in does while it is destroyed (free memory, call `rand()`) would otherwise change the work of another. The end of
    the process waits for the block, and another thread begins none after it: `RenderError`.
    """
    _here.working += 1
    _busy.add(threading.get_ident())
    try:
        if _over and threading.current_thread() is not threading.main_thread():
            raise RenderError("the process is ending")
        yield
    finally:
        _here.working -= 1
        if not _here.working:
            _busy.discard(threading.get_ident())
            if _graves:
                empty()


@contextlib.contextmanager
def opening(natives: Natives) -> Iterator[None]:
    """A block of `undisturbed` that closes `natives` if it fails. The error then holds none: its frames lose their variables."""
    with undisturbed():
        try:
            yield
        except BaseException as error:
            chain: list[BaseException | None] = [error]
            while link := chain.pop():
                traceback.clear_frames(link.__traceback__)
                chain += [link.__context__, link.__cause__] if link.__cause__ is not link.__context__ else [link.__context__]
            natives.close()
            raise


def empty() -> None:
    """Destroy what is buried, this thread may destroy, and nobody holds any more."""
    for _ in range(len(_graves)):
        try:
            grave = _graves.popleft()
        except IndexError:  # another thread was faster
            return
        if grave.is_mine():
            grave.empty()
        if grave.natives:
            _graves.append(grave)


def _bury(grave: _Grave) -> None:
    if grave.natives:
        _graves.append(grave)
        _ask_main_thread()
    _living.discard(grave)


# --- The main thread, whatever it is doing -------------------------------------------------------------------------------

_asked = False


def _on_main_thread(_: Any) -> int:
    global _asked
    _asked = False
    try:
        if not _here.working:
            empty()
    except BaseException as error:
        # A signal's handler has raised it, for the code that we interrupted. ctypes would drop it.
        main = ctypes.c_ulong(threading.main_thread().ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(type(error)))
    return 0


_PENDING = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(_on_main_thread)


def _ask_main_thread() -> None:
    """It calls `empty` between two of its steps in Python, as it would handle a signal. Nobody waits for that."""
    global _asked
    if not _asked:  # a plain flag: the collector may interrupt a thread that holds a lock
        _asked = True  # before the call, which may be over before the next line
        if ctypes.pythonapi.Py_AddPendingCall(_PENDING, None) != 0:  # 32 calls wait already
            _asked = False


# --- The end of the process ----------------------------------------------------------------------------------------------


def keep_forever(native: Any) -> None:
    """Never destroy it. Python destroys what modules hold when the interpreter ends; an extra reference keeps it from that."""
    _forever.add(id(native))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(native))


def _keep_all_forever() -> None:
    for grave in [*_living, *_graves]:
        for native in grave.natives.values():
            keep_forever(native)


@atexit.register
def _close_all() -> None:
    """At exit: let other threads end the render they are in, and close all effects. What may not be destroyed stays."""
    global _over
    _over = True
    for grave in list(_living):
        _graves.append(_Grave(grave.owner, dict(grave.natives)))
        grave.natives.clear()
    deadline = time.monotonic() + LONGEST_LAST_RENDER
    while _busy - {threading.get_ident()} and time.monotonic() < deadline:
        time.sleep(0.001)
    empty()
    if _graves:  # what holds them may be garbage itself: the frames of an error
        gc.collect()
        empty()
    _keep_all_forever()


def _after_fork() -> None:
    """The threads of a plug-in exist only in the parent: a child that destroys it may wait for them forever."""
    _busy.clear()
    _keep_all_forever()
    _graves.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
