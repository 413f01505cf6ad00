"""The messages between a pool and its host processes."""

from __future__ import annotations

from dataclasses import dataclass

from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.hosts.table import Layout


@dataclass(frozen=True)
class Introduce:
    """Gives a host the spec of a key, and its parent's current `sys.path` (a notebook may have extended it)."""

    key: str
    spec: EffectSpec
    path: tuple[str, ...]


@dataclass(frozen=True)
class Attach:
    """Hands over a shared block; its file descriptor follows."""

    block: int
    size: int


@dataclass(frozen=True)
class Detach:
    """The block will not be used again."""

    block: int


@dataclass(frozen=True)
class Open:
    """Open an effect; answered by its `EffectInfo`."""

    key: str
    time_limit: float


@dataclass(frozen=True)
class Run:
    """Take renders of a call one after another. Answered by `Done` when none is left, or by `Failed` at the first that raises.

    Attributes:
        host: what this host writes into `Table.taken`.
        table, audio, other: numbers of blocks: the call's table, its audio, and its output or cotangent.
    """

    key: str
    host: int
    layout: Layout
    table: int
    audio: int
    other: int
    open_limit: float
    time_limit: float


@dataclass(frozen=True)
class Done:
    """No render of the call is left to take."""


@dataclass(frozen=True)
class Failed:
    """An exception, and the `index` of the render that raised it; -1 for opening."""

    error: Exception
    index: int = -1
