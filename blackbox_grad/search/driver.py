"""The one loop that asks a searcher, renders, and tells it the results."""

from __future__ import annotations

from collections.abc import Callable

from blackbox_grad.errors import EstimatorError, ParameterError
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.base import Found, Searcher


def drive(
    searcher: Searcher, space: ParameterSpace, evaluate: Callable[[FloatArray], Found], renders: int, at_once: int
) -> bool:
    """Drive a searcher until it asks for nothing more, or the renders are used up. Returns whether it came to its end.

    Args:
        searcher: anything with `ask` and `tell`.
        space: of the settings.
        evaluate: from settings `[N, P]`, stepped parameters at their levels, to the results.
        renders: the most renders.
        at_once: the most settings to ask for at a time.

    Raises:
        EstimatorError: it asked for settings that cannot be rendered.
    """
    left = renders
    while True:
        count = max(1, min(at_once, left))
        asked = searcher.ask(count)
        if not len(asked):
            return True
        if left <= 0:
            return False
        try:
            points = space.snap(space.check(asked))
        except ParameterError as error:
            raise EstimatorError(f"{searcher!r} asked for settings that cannot be rendered: {error}") from error
        if points.ndim != 2 or len(points) > count:
            raise EstimatorError(
                f"{searcher!r} was asked for up to {count} settings, [N, {len(space)}], and returned {list(points.shape)}"
            )
        searcher.tell(points, *evaluate(points))
        left -= len(points)
