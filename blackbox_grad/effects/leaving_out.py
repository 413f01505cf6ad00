"""Of many parameters, those that change the sound: a search tries them alone."""

from __future__ import annotations

from dataclasses import replace

from blackbox_grad.effects.first_look import unlooked
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec

#: So many are searched all, also if some of them change nothing.
FEW = 16

#: Names in a sentence.
_SHOWN = 6


def without_silent(info: EffectInfo) -> tuple[EffectSpec, str]:
    """The spec to search, and a sentence about the parameters that are left out; empty if there are none.

    Those are left out that changed nothing in the first look, where toggles and steps of the selection were moved too.
    """
    spec, dead = info.spec, () if info.look is None else info.look.dead
    names = info.parameters.names
    if len(names) <= FEW or not dead or len(dead) == len(names):
        return spec, ""
    shown = ", ".join(dead[:_SHOWN]) + (", …" if len(dead) > _SHOWN else "")
    heard = tuple(name for name in names if name not in dead)
    sentence = (
        f"{len(dead)} of {len(names)} parameters change nothing, and are not searched: {shown}. To search some, name them"
    )
    return unlooked(replace(spec, parameters=heard)), sentence
