"""Options of backends, checked before opening an effect."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from blackbox_grad.errors import EffectLoadError

#: A plug-in starts from one of these, or from its defaults.
PLUGIN_OPTIONS = ("preset", "state")

#: What is wrong with a preset or a state after which the plug-in's own state is as before, and is not that of the file.
CHANGES_NOTHING = "changes nothing: it is damaged, of another plug-in, or holds the defaults; leave it out, or save it again"

#: Between the folders of a path on this system.
_SEPARATORS = os.sep + (os.altsep or "")


def path_in(locator: str, suffixes: tuple[str, ...]) -> str | None:
    """The beginning of a locator that is a path: it ends in one of the suffixes, or has a separator. `#` and a name may follow.

    A name alone is that of an installed plug-in, and no file or folder of the same name hides it.
    """
    for text in (locator, locator.rpartition("#")[0]):
        plain = text.rstrip(_SEPARATORS)
        if plain.lower().endswith(suffixes):
            return text
    text = locator if os.path.exists(os.path.expanduser(locator)) else locator.partition("#")[0]
    return text if any(separator in text.rstrip(_SEPARATORS) for separator in _SEPARATORS) else None


def check_options(address: str, given: Iterable[str], known: Sequence[str] = ()) -> None:
    """Raise `EffectLoadError` for an unknown option, and for a preset together with a state."""
    names = set(given)
    for name in sorted(names - set(known)):
        if name == PLUGIN_OPTIONS[0]:
            raise EffectLoadError(f"{address}: this effect has no presets; leave preset= out")
        raise EffectLoadError(f"{address}: no option {name!r}; there are: {', '.join(known) or 'none'}")
    if names.issuperset(PLUGIN_OPTIONS):
        raise EffectLoadError(f"{address}: preset= and state= exclude each other; give one")
