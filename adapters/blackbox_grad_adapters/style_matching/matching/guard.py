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

#: Parts of the settings that are tried where all of them are too much.
AMOUNTS = (0.75, 0.5, 0.25)


def taken_back(setter: StyleSetter, against: Against, p: Tensor, rate: float) -> tuple[Tensor, Verdict]:
    """All of the settings `p: [1, P]` if they come near enough; else the part of them that comes nearest.

    It costs one render. Where that is too far from the reference, it costs up to 600 short ones to find where the effect does
    nothing, 25 to measure the way from there, and one for each amount.

    Args:
        rate: Hz, of the result. Parts that do not exist at this rate are left out.
    """
    whole = against.of_settings(setter.path, p)
    if against.left(whole) <= ENOUGH:
        return p, Verdict(1.0, whole, whole, against.before)
    way = setter.way(p, against.excerpt)
    points = {amount: torch.from_numpy(way.at(amount)).to(p)[None] for amount in AMOUNTS}
    points = {1.0: p} | {amount: point for amount, point in points.items() if setter.fits(point, rate)}
    tried = {amount: whole if amount == 1.0 else against.of_settings(setter.path, point) for amount, point in points.items()}
    best = min(tried, key=lambda amount: against.left(tried[amount]))
    if against.left(tried[best]) > ENOUGH:
        return p, Verdict(0.0, against.before, whole, against.before)
    return points[best], Verdict(best, tried[best], whole, against.before)
