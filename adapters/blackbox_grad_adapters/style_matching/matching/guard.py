"""The guard: a result that does not come nearer to the reference than the input itself is taken back.

Input and reference are different recordings, so nobody knows what the input should sound like. But the judges that are blind to
time compare statistics, and those of a result should be nearer to the reference's than those of the input are. References that no
controller was trained for, such as another maker's effect, or none, show themselves in that: what the network answers leads
elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.matching.against import Against
from blackbox_grad_adapters.style_matching.matching.result import Verdict
from blackbox_grad_adapters.style_matching.matching.setter import StyleSetter

#: A result may leave this part of the input's distance at most. Two parts of one recording differ, and an effect that does nothing
#: useful still makes some of these differences smaller. Chosen on the validation corpora, as are the amounts.
ENOUGH = 0.9

#: Another answer of the network may leave this part at most. There are several, and one may come nearer by chance: of references
#: without effect (validation corpora, four effects), the likeliest answer is kept for 4 %, and one of six would be for 15 % at 0.9,
#: and for 8 % here.
ENOUGH_OF_OTHERS = 0.85

#: Parts of the settings that are tried where all of them are too much.
AMOUNTS = (0.75, 0.5, 0.25)


def taken_back(
    setter: StyleSetter, against: Against, p: Tensor, rate: float, others: Tensor | None = None
) -> tuple[Tensor, Verdict]:
    """All of the settings `p: [1, P]` if they come near enough; else other settings that do; else the part that comes nearest.

    It costs one render, and one for each of the others. Where all are too far from the reference, it costs up to 600 short ones to
    find where the effect does nothing, 25 to measure the way from there, and one for each amount.

    Args:
        rate: Hz, of the result. Settings that do not exist at this rate are left out.
        others: `[N, P]`, tried in this order.
    """
    whole = against.of_settings(setter.path, p)
    if against.left(whole) <= ENOUGH:
        return p, Verdict(1.0, whole, whole, against.before)
    for other in () if others is None else (row[None] for row in others):
        if setter.fits(other, rate):
            distances = against.of_settings(setter.path, other)
            if against.left(distances) <= ENOUGH_OF_OTHERS:
                return other, Verdict(1.0, distances, whole, against.before, other=True)
    way = setter.way(p, against.excerpt)
    points = {amount: torch.from_numpy(way.at(amount)).to(p)[None] for amount in AMOUNTS}
    points = {1.0: p} | {amount: point for amount, point in points.items() if setter.fits(point, rate)}
    tried = {amount: whole if amount == 1.0 else against.of_settings(setter.path, point) for amount, point in points.items()}
    best = min(tried, key=lambda amount: against.left(tried[amount]))
    if against.left(tried[best]) > ENOUGH:
        return p, Verdict(0.0, against.before, whole, against.before)
    return points[best], Verdict(best, tried[best], whole, against.before)
