"""Which parameters are audible, and where: each is moved around a few settings of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from blackbox_grad.inspection.one_parameter import bases, effects_of
from blackbox_grad.inspection.renders import Renders
from blackbox_grad.inspection.results import ParameterInspection
from blackbox_grad.parameters.parameter import FloatArray

#: A parameter that changes the output by this part around the defaults is measured there; another, around settings where it does.
_PLAIN = 1e-3

#: Up to this tolerance (-80 dB), a change that it hides is inaudible. A larger one may hide something audible.
_HIDES = 1e-4

#: Of what the limits leave: the part after which no further settings are tried, and the part after which no further parameter is.
_ENOUGH, _TOO_MUCH = 0.15, 0.4


@dataclass
class Heard:
    """What is known so far.

    Attributes:
        places: of audible parameters, by index: the largest change of the output, and the settings around which it was found.
        hidden: the largest change by each parameter whose changes are no larger than the effect's own noise may be.
        untried: parameters that no settings, or not all of them, were tried for.
    """

    places: dict[int, tuple[float, FloatArray]] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    untried: set[int] = field(default_factory=set)

    def order(self) -> list[int]:
        """The audible ones, the most audible first."""
        return sorted(self.places, key=lambda i: -self.places[i][0])

    def reported(self, parameters: tuple[ParameterInspection, ...], ended: bool = False) -> tuple[ParameterInspection, ...]:
        """The parameters with what is known. At the end, those that changed nothing are inaudible."""
        return tuple(self._reported(i, parameter, ended) for i, parameter in enumerate(parameters))

    def _reported(self, index: int, parameter: ParameterInspection, ended: bool) -> ParameterInspection:
        if index in self.places:
            return replace(parameter, reaches_sound=True)
        if not ended:
            return parameter
        if index in self.hidden:
            return replace(parameter, note=HIDDEN)
        if index in self.untried:
            return replace(parameter, note=UNTRIED)
        return replace(parameter, reaches_sound=False)


#: Notes of parameters of which it is not known whether they are audible.
HIDDEN = "what it changes is no more than equal renders differ by, so it may be audible or not"
UNTRIED = "not heard yet; the limits left no time to try it around more settings"


def search(renders: Renders, heard: Heard, tolerance: float) -> Iterator[float]:
    """Fill `heard`. It yields how far it is, of 1.

    The settings of the others are the defaults first, then further ones for parameters that are not plainly audible yet.
    """
    faint = list(range(len(renders.space)))
    around = bases(renders)
    before = renders.spent
    enough, too_much = (before + part * (1.0 - before) for part in (_ENOUGH, _TOO_MUCH))
    for n, base in enumerate(around):
        if n > 0 and renders.spent > enough:
            break
        heard.untried = set(faint) - set(heard.places)
        for k, (i, change) in enumerate(effects_of(renders, faint, base)):
            heard.untried.discard(i)
            if change > max(tolerance, heard.places[i][0] if i in heard.places else 0.0):
                heard.places[i] = change, base
            elif change > 0.0 and tolerance > _HIDES:
                heard.hidden.add(i)
            yield (n + k / len(faint)) / len(around)
            if renders.spent > too_much:
                return
        faint = [i for i in faint if i not in heard.places or heard.places[i][0] < _PLAIN]
        heard.untried = set(faint) - set(heard.places) if n + 1 < len(around) else set()
