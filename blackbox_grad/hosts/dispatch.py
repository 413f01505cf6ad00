"""Hosts render a call: they take its renders one after another, until all are done. Or one of them opens an effect.

The caller's thread hands out the work and waits for it: the pool has no thread of its own in the parent. So any thread may call it,
and a plug-in sees no thread but the main thread of its host.

A call ends when its renders are done. A host that is still starting, opening the effect, stopped or hung is left behind: it may
answer later, and until then no call gets it.
"""

from __future__ import annotations

import time

from blackbox_grad.effects.opening import EffectInfo, gentler
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import HostError
from blackbox_grad.hosts.answers import Description, Done, Failed, Told
from blackbox_grad.hosts.call import Call
from blackbox_grad.hosts.channel import GarbageError, wait
from blackbox_grad.hosts.ending import Faults
from blackbox_grad.hosts.host_process import HostDiedError, HostProcess
from blackbox_grad.hosts.members import PAUSE, Members

#: Seconds for hosts to say that they have found no further render. One that needs longer is left behind.
_SETTLING = 0.05


def opened(spec: EffectSpec, members: Members, limit: float) -> EffectInfo:
    """Have one host open the effect; if that ends it, have the next one open it more gently."""
    faults = Faults(spec.address, lambda _, fate: fate)
    while True:
        with members.taking() as take:
            worker = take(True)
            assert worker is not None
            try:
                worker.open(spec.key, spec, limit)
                answer = worker.answer()
                if isinstance(answer, Description):
                    info = answer.info(spec)
            except (GarbageError, KeyError, TypeError, ValueError) as error:
                raise garbage(spec.address, error) from None
            except HostDiedError:
                end, opening = worker.end(), worker.phase == "opening"
                members.give(worker, healthy=False)
                faults.count(end, None, opening)
                spec = gentler(spec) if opening and not end.from_outside else spec
                continue
            members.give(worker, healthy=True)
        if isinstance(answer, Failed):
            raise answer.error
        if isinstance(answer, Description):
            return info
        raise garbage(spec.address, f"{type(answer).__name__} for an effect")


def render(call: Call, members: Members) -> None:
    """Let free hosts take renders of a call until all are done."""
    _Dispatch(call, members).render()


class _Dispatch:
    def __init__(self, call: Call, members: Members) -> None:
        self._call, self._members = call, members
        self._faults = Faults(call.info.spec.address, call.report)
        self._active: list[HostProcess] = []
        self._failure: Failed | None = None
        self._done, self._over = 0, False

    def render(self) -> None:
        call, active = self._call, self._active
        with self._members.taking() as take:
            while not call.finished(active):
                while self._wants_more():
                    worker = take(not active)
                    if worker is None:
                        break
                    self._send(worker)
                if not active and not self._wants_more():
                    raise garbage(call.info.spec.address, "its table of renders is damaged")
                # another thread may free a host while ours are busy: if it could take work, look again soon
                for worker in wait(active, PAUSE if self._wants_more() else 1.0):
                    self._hear(worker)
                for worker in tuple(active):
                    worker.end_if_overdue(call.unfinished(worker))
                    if not worker.alive():
                        self._hear(worker)
                self._progress()
            self._settle()
        if self._failure is not None:
            raise call.error(self._failure)

    def _wants_more(self) -> bool:
        return len(self._active) < self._members.size and self._call.wants_more_than(self._active)

    def _send(self, worker: HostProcess) -> None:
        try:
            self._call.send_to(worker)
        except HostDiedError:
            self._lost(worker)
        else:
            self._active.append(worker)

    def _hear(self, worker: HostProcess) -> None:
        """Take note of an answer, or of an end."""
        call = self._call
        try:
            answer = worker.hear()
        except HostDiedError:
            if worker in self._active:
                self._active.remove(worker)
                self._lost(worker)
            return
        except GarbageError as error:
            raise garbage(call.info.spec.address, error) from None
        if answer is None:
            return
        if isinstance(answer, Done) and call.unfinished(worker) is not None:
            raise garbage(call.info.spec.address, "it has not finished a render")
        if (isinstance(answer, Failed) and not -1 <= answer.index < call.layout.renders) or isinstance(
            answer, (Description, Told)
        ):
            raise garbage(call.info.spec.address, f"{type(answer).__name__} for a render")
        self._active.remove(worker)
        self._members.give(worker, healthy=True)
        if self._over:
            return
        if isinstance(answer, Failed) and (self._failure is None or answer.index < self._failure.index):
            self._failure = answer
            call.end()

    def _lost(self, worker: HostProcess) -> None:
        """Let another host take the render that a dead one had begun."""
        call = self._call
        end, opening, render = worker.end(), worker.phase == "opening", call.unfinished(worker)
        self._members.give(worker, healthy=False)
        self._progress()
        if self._over or call.over or call.table.done.all():
            return
        self._faults.count(end, render, opening)
        if render is not None:
            call.table.taken[render] = 0

    def _progress(self) -> None:
        done = int(self._call.table.done.sum())
        if done > self._done:
            self._done = done
            self._faults.progressed()

    def _settle(self) -> None:
        """Give hosts back. Those that do not answer soon keep the memory of the call, which is never used again."""
        self._over = True
        deadline = time.monotonic() + _SETTLING
        while soon := [worker for worker in self._active if worker.phase == "called"]:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for worker in wait(soon, left):
                self._hear(worker)
        if self._active:
            self._call.spoil()
        for worker in self._active:
            self._members.give(worker, healthy=True)
        self._active.clear()


def garbage(address: str, what: object) -> HostError:
    """For an answer that no effect gives."""
    return HostError(
        f"{address}: its host process gave an answer that makes no sense ({what}), and was ended; the effect damages the memory of "
        "its process, or writes where it should not: try it alone with `blackbox-grad render`, or leave it out"
    )
