"""How finely parameters are measured: as finely as the limits allow for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from blackbox_grad.inspection.renders import Renders
from blackbox_grad.parameters.parameter import Parameter

#: After so many renders, their pace is known. Before, they are expected to take this many times what the first ones took.
_TELLING, _ANALYSED = 60, 1.5

#: Part of what seems possible that is planned for.
_SURE = 0.9


@dataclass(frozen=True)
class Effort:
    """How many renders a parameter gets, and for what.

    Attributes:
        values: of a sweep.
        starts: places on a sweep where differences are compared with the true changes, parts of its length.
        steps: distances of these differences, normalised, ascending.
        places: where steps are measured.
        rungs: distances that one batch of renders tries in the search for the edge of a step.
        spacings: the most spacings that ECnoise tries.
        refining: renders that the steps and the noise of a continuous parameter take, about; 0: they are not measured.
    """

    values: int
    starts: tuple[float, ...]
    steps: tuple[float, ...]
    places: int
    rungs: int
    spacings: int
    refining: int

    def looking(self, parameter: Parameter, signals: int) -> int:
        """Renders of the first look at a parameter."""
        values = min(self.values, parameter.levels or self.values)
        steps = len(self.steps) if parameter.levels is None else 1
        return signals * (1 + values + len(self.starts) * (1 + 2 * steps))

    def renders(self, parameter: Parameter, signals: int) -> int:
        """Renders of all measurements of a parameter."""
        return self.looking(parameter, signals) + self.refining_of(parameter)

    def refining_of(self, parameter: Parameter) -> int:
        """Renders of the measurements after the first look."""
        return self.refining if parameter.levels is None else 0


FULL = Effort(33, (0.19, 0.5, 0.81), (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1), places=5, rungs=22, spacings=6, refining=800)
COARSE = Effort(17, (0.25, 0.75), (0.001, 0.01, 0.03, 0.1), places=2, rungs=11, spacings=3, refining=200)
COARSEST = Effort(9, (0.5,), (0.01, 0.03), places=1, rungs=8, spacings=2, refining=90)

#: The first look alone.
LOOK = replace(COARSEST, refining=0)

#: From fine to coarse. The last one is always tried.
EFFORTS = (FULL, COARSE, COARSEST, LOOK)


class Budget:
    """What the limits of an inspection still allow.

    Args:
        renders: whose limits count.
    """

    def __init__(self, renders: Renders) -> None:
        self._renders = renders
        self._since = renders.made, renders.seconds
        # renders so far came with less analysis than those of a sweep
        self._usual = _ANALYSED * (renders.seconds - renders.opened) / max(renders.made, 1)

    def effort(self, costs: Callable[[Effort], int], efforts: Sequence[Effort] = EFFORTS) -> Effort:
        """The finest effort whose `costs`, in renders, the limits allow; otherwise the last."""
        made, seconds = self._renders.made - self._since[0], self._renders.seconds - self._since[1]
        pace = seconds / made if made >= _TELLING else self._usual
        in_time = (self._renders.time_limit - self._renders.seconds) / max(pace, 1e-9)
        left = _SURE * min(in_time, self._renders.render_limit - self._renders.made)
        return next((effort for effort in efforts if costs(effort) <= left), efforts[-1])
