"""A first look at an opened effect: which free parameters can be heard, and which switch would wake the others.

A band or a gate may be held off by a toggle. Its parameters then change nothing, and their gradient is 0. A few renders of noise
tell, in less than a second; what they cannot tell in that time counts as heard. The result is kept on disk until the effect's
file or a version changes, and goes to the next host with the spec.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from blackbox_grad.cache import JsonCache, digest
from blackbox_grad.effects.addresses import file_stamp
from blackbox_grad.effects.audibility import Ears, Render, Spent, settings_to_try
from blackbox_grad.effects.protocols import Beside, Takes
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.effects.switches import MOST_NAMED, Switch, Switches, named
from blackbox_grad.errors import DeadParameterWarning
from blackbox_grad.parameters.space import ParameterSpace

#: Name of the entry in `EffectSpec.learnt`.
LOOK = "look"

#: Increases when the look changes, so that what older code found is not used.
_METHOD = 3

#: Characters of an address in a warning.
_LONGEST_ADDRESS = 120

#: Seconds of processor time, without the search of switches.
_BUDGET = 1.0

#: Where equal renders differ by more, noise may hide a parameter, and nothing is said about it.
_NOISY = 1e-4


@dataclass(frozen=True)
class FirstLook:
    """What a first look found.

    Attributes:
        dead: free parameters that change nothing at any setting that was tried, while the others are held.
        unknown: free parameters that were not tried to the end: the effect is slow, noisy, or failed. They count as heard.
        switches: held controls that wake dead parameters.
    """

    dead: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    switches: tuple[Switch, ...] = ()

    def warning(self, address: str, count: int) -> str:
        """One sentence about the dead ones of `count` free parameters, and what to do. Empty if there are none."""
        if not self.dead:
            return ""
        them = f"all {count}" if len(self.dead) == count else f"{len(self.dead)} of {count}"
        ways = [self.advice()] if self.switches else []
        if len(self.dead) < count:
            ways.append("parameters='audible' trains only what is heard")
        elif not ways:
            ways.append("Choose other parameters, or other settings of those that are held")
        where = " ".join(address.split())  # a Faust program has many lines
        where = where if len(where) <= _LONGEST_ADDRESS else f"{where[:_LONGEST_ADDRESS]}…"
        return f"{where}: {them} parameters change nothing, so their gradient is 0: {named(self.dead)}. {'. '.join(ways)}"

    def advice(self) -> str:
        """How to wake the dead ones: "Low Level: turn on 'Low Active' (fixed={'Low Active': 'on'})". Empty if no way is known."""
        if not self.switches:
            return ""
        shown, more = self.switches[:MOST_NAMED], len(self.switches) - MOST_NAMED
        fixed = {switch.name: switch.setting for switch in reversed(shown)}  # of two settings, the one that wakes more
        fixed = dict(reversed(fixed.items()))
        ways = "; ".join(map(str, shown)) + (f"; and {more} more switches" if more > 0 else "")
        return f"{ways} (fixed={fixed!r})"

    def learnt(self, spec: EffectSpec) -> tuple[str, Any]:
        """As an entry of `EffectSpec.learnt`: plain values, and the spec that they are true of."""
        return LOOK, (spec.key, self.dead, self.unknown, tuple((s.name, s.setting, s.wakes) for s in self.switches))

    @classmethod
    def of(cls, spec: EffectSpec) -> FirstLook | None:
        """What is known of this effect with this selection; None without a look."""
        known = dict(spec.learnt).get(LOOK)
        if known is None:
            return None
        with contextlib.suppress(TypeError, ValueError):
            key, *rest = known
            return cls._from(rest) if key == spec.key else None
        return None

    @classmethod
    def _from(cls, known: Any) -> FirstLook:
        """From plain values, such as JSON gives."""
        dead, unknown, switches = known
        return cls(tuple(dead), tuple(unknown), tuple(Switch(name, setting, tuple(wakes)) for name, setting, wakes in switches))


def unlooked(spec: EffectSpec) -> EffectSpec:
    """The same spec for a caller who does not ask which parameters are heard: opening it takes no first look."""
    return replace(spec, learnt=(*(entry for entry in spec.learnt if entry[0] != LOOK), FirstLook().learnt(spec)))


def remembered_look(spec: EffectSpec, look: Callable[[], FirstLook]) -> FirstLook:
    """What is known of this effect with this selection, from the spec or from disk; otherwise what `look` finds.

    A look that killed its process is not repeated: nothing is known then.
    """
    if (known := FirstLook.of(spec)) is not None:
        return known
    memory, key, stamp = JsonCache("looks"), spec.key, _stamp(spec)
    found = memory.get(key, stamp)
    with contextlib.suppress(TypeError, ValueError):  # a damaged file
        if isinstance(found, int):  # the process that began it
            if not _alive(found):
                return FirstLook()
        elif found is not None:
            return FirstLook._from(found)
    memory.put(key, stamp, os.getpid())
    result = look()
    memory.put(key, stamp, result.learnt(spec)[1][1:])
    return result


def _stamp(spec: EffectSpec) -> str:
    return digest(repr((_METHOD, [file_stamp(part.address) for part in spec.parts or (spec,)])))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def first_look(
    render: Render,
    space: ParameterSpace,
    sample_rate: float,
    channels: int,
    repeatability: float,
    pinned: Collection[str] = (),
    takes: Takes = "audio",
    beside: Beside = "",
) -> FirstLook:
    """Find the free parameters of `space` that cannot be heard, and switches that wake them.

    Args:
        render: of the effect, at all its `F` values.
        space: the free parameters, and the held ones.
        sample_rate: Hz.
        channels: of the audio.
        repeatability: relative error between equal renders.
        pinned: names of held parameters that are no switches: the caller wants them so.
        takes, beside: what the effect renders.
    """
    free = sorted(space.free)
    names = [p.name for p in space.everything]
    if not free:
        return FirstLook()
    ears = Ears(render, space, sample_rate, channels, repeatability, takes, beside)
    ears.allow(_BUDGET)
    left, finished = list(free), False
    with contextlib.suppress(Spent, Exception):  # an effect that fails at its defaults says so when it is rendered
        if ears.tolerance < 1.0 and ears.quick():
            for base, audio, group in settings_to_try(ears, free):
                found = ears.heard(left, base, audio, group)
                left = [i for i in left if i not in found]
                if not left:
                    break
            finished = True
    hidden = set(left) if not finished or ears.noise > _NOISY else ears.failed & set(left)
    dead = [i for i in left if i not in hidden]
    held = [i for i in range(len(names)) if i not in free and names[i] not in pinned]
    woken = Switches(ears, dead, held).search() if dead else []
    return FirstLook(tuple(names[i] for i in dead), tuple(names[i] for i in left if i in hidden), tuple(woken))


_warned: set[str] = set()


def warn_of_dead(spec: EffectSpec, count: int, stacklevel: int = 2) -> None:
    """Warn, once in a process for each selection of an effect, if some of its `count` free parameters change nothing."""
    look = FirstLook.of(spec)
    if look is None or not look.dead or spec.key in _warned or spec.parameters == "audible":
        return
    _warned.add(spec.key)
    warnings.warn(look.warning(spec.address, count), DeadParameterWarning, stacklevel=stacklevel + 1)
