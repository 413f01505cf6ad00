"""The messages from a pool to its host processes, which unpickle them. `answers` has those in the other direction."""

from __future__ import annotations

from typing import Any, NamedTuple

from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.hosts.table import Layout


class Subject(NamedTuple):
    """The effect that a message is about.

    Attributes:
        key: of its spec.
        spec: None if the host has it.
        path: the parent's current `sys.path`, beside a spec: a notebook may have extended it.
    """

    key: str
    spec: EffectSpec | None = None
    path: tuple[str, ...] = ()


class Attachments(NamedTuple):
    """Shared blocks that come and go with a message.

    Attributes:
        fresh: number and size of each block whose file descriptor comes with the message.
        stale: numbers of blocks that will not be used again.
    """

    fresh: tuple[tuple[int, int], ...] = ()
    stale: tuple[int, ...] = ()


class Tidy(NamedTuple):
    """Let blocks go; not answered."""

    attachments: Attachments


class Open(NamedTuple):
    """Open an effect; answered by its `Description`, or by `Failed`."""

    subject: Subject
    time_limit: float


class Ask(NamedTuple):
    """Ask an open effect something; answered by `Told`, or by `Failed`.

    Attributes:
        question: a method of `SelectedEffect` that `answering.QUESTIONS` allows.
        arguments: plain values.
        open_limit, time_limit: seconds, for opening the effect and for the answer.
    """

    subject: Subject
    question: str
    arguments: tuple[Any, ...]
    open_limit: float
    time_limit: float


class Work(NamedTuple):
    """Renders of a call.

    Attributes:
        host: what the host writes into `Table.taken`.
        table, audio, other: numbers of blocks: the call's table, its audio, and its output or cotangent.
    """

    host: int
    layout: Layout
    table: int
    audio: int
    other: int
    open_limit: float
    time_limit: float


class Run(NamedTuple):
    """Take renders of a call one after another. Answered by `Done` when none is left, or by `Failed` at the first that raises."""

    subject: Subject
    attachments: Attachments
    work: Work
