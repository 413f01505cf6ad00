"""Options of backends, checked before opening an effect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from blackbox_grad.errors import EffectLoadError

#: A plug-in starts from one of these, or from its defaults.
PLUGIN_OPTIONS = ("preset", "state")


def check_options(address: str, given: Iterable[str], known: Sequence[str] = ()) -> None:
    """Raise `EffectLoadError` for an unknown option, and for a preset together with a state."""
    names = set(given)
    for name in sorted(names - set(known)):
        raise EffectLoadError(f"{address}: no option {name!r}; there are: {', '.join(known) or 'none'}")
    if names.issuperset(PLUGIN_OPTIONS):
        raise EffectLoadError(f"{address}: preset= and state= exclude each other; give one")
