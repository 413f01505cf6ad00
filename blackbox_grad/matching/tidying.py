"""Back to their defaults with settings that do no good: a search of a hundred parameters moves many that are not heard."""

from __future__ import annotations

import numpy as np

from blackbox_grad.matching.driver import Driver

#: Renders for groups of settings that go back together.
_TOGETHER = 8

#: The most of the renders allowed, as a part.
_SHARE = 0.1

#: So much higher than the lowest, as a part, a loss counts as equal.
_EQUAL = 1e-3


def renders_for(parameters: int, limit: int) -> int:
    """Renders to keep for `tidy`."""
    return min(parameters + _TOGETHER, int(_SHARE * limit))


def tidy(driver: Driver) -> None:
    """Take back, from the best settings, what can be taken back without a higher loss; within the renders that are left.

    Each setting goes back alone, those nearest to their defaults first. Those that may go back do so together; if that is
    worse, in halves.
    """
    objective = driver.objective
    best, lowest = objective.best_point, objective.best_loss
    defaults = objective.space.snap(objective.space.defaults)
    moved = np.flatnonzero(best != defaults)
    moved = moved[np.argsort(np.abs(best - defaults)[moved], kind="stable")][: max(0, objective.left - _TOGETHER)]
    if not len(moved):
        return
    alone = np.tile(best, (len(moved), 1))
    alone[range(len(moved)), moved] = defaults[moved]
    losses, _ = driver.evaluate(alone, "lines")
    found, loss_of_found = best, lowest
    groups = [moved[losses <= (1.0 + _EQUAL) * lowest]]
    while groups and objective.left:
        group = groups.pop(0)
        if not len(group):
            continue
        point = found.copy()
        point[group] = defaults[group]
        loss = float(driver.evaluate(point[None], "lines")[0][0])
        if loss <= (1.0 + _EQUAL) * lowest:
            found, loss_of_found = point, loss
        elif len(group) > 1:
            middle = len(group) // 2
            groups = [group[:middle], group[middle:], *groups]
    objective.settle(found, loss_of_found)
