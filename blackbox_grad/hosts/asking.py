"""One host process of a pool answers a question about an effect that is no render."""

from __future__ import annotations

from typing import Any, NamedTuple

from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.hosts.answers import Failed, Told
from blackbox_grad.hosts.channel import GarbageError
from blackbox_grad.hosts.dispatch import garbage
from blackbox_grad.hosts.ending import Faults
from blackbox_grad.hosts.host_process import HostDiedError
from blackbox_grad.hosts.members import Members


class Question(NamedTuple):
    """A question, its plain arguments, and seconds for opening the effect and for the answer."""

    name: str
    arguments: tuple[Any, ...]
    open_limit: float
    time_limit: float


def told(spec: EffectSpec, key: str, members: Members, question: Question) -> Any:
    """The answer of one host; if that ends it, of the next one.

    Args:
        spec: with what was learnt when the effect was opened first.
        key: of the spec as the caller gave it.
    """
    faults = Faults(spec.address, lambda _, fate: f"{spec.address}: reading or writing its presets {fate}")
    while True:
        with members.taking() as take:
            worker = take(True)
            assert worker is not None
            try:
                worker.ask(key, spec, question.name, question.arguments, (question.open_limit, question.time_limit))
                answer = worker.answer(working=True)
            except GarbageError as error:
                raise garbage(spec.address, error) from None
            except HostDiedError:
                end, opening = worker.end(), worker.phase == "opening"
                members.give(worker, healthy=False)
                faults.count(end, None if opening else 0, opening)
                continue
            members.give(worker, healthy=True)
        if isinstance(answer, Failed):
            raise answer.error
        if isinstance(answer, Told):
            return answer.value
        raise garbage(spec.address, f"{type(answer).__name__} for a question")
