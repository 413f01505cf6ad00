"""Options of backends, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from blackbox_grad.errors import EffectLoadError

#: What a plug-in may start from: one or the other.
PLUGIN_OPTIONS = ("preset", "state")


def check_options(address: str, given: Iterable[str], known: Sequence[str] = ()) -> None:
    """Raise `EffectLoadError` for an option that is not known, and for a preset beside a state."""
    names = set(given)
    for name in sorted(names - set(known)):
        raise EffectLoadError(f"{address}: no option {name!r}; there are: {', '.join(known) or 'none'}")
    if names.issuperset(PLUGIN_OPTIONS):
        raise EffectLoadError(f"{address}: preset= and state= exclude each other; give one")
