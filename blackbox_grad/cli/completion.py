"""What a shell completes."""

from __future__ import annotations

from blackbox_grad.effects.addresses import backend_names, backends, catalogue, end_of


def effect_names(incomplete: str) -> list[str]:
    """Names of installed effects that begin so, as far as a name finds one effect alone; addresses, after a backend's name.

    No effect is opened.
    """
    prefix, colon, _ = incomplete.partition(":")
    if colon:
        only = prefix if prefix in backend_names() else None
        return sorted(listing.address for listing in catalogue(only) if listing.address.startswith(incomplete))
    owners: dict[str, set[str]] = {}
    for listing in catalogue():
        name = end_of(listing.locator)
        if name.casefold().startswith(incomplete.casefold()):
            owners.setdefault(name, set()).add(listing.address)
    alone = [name for name, addresses in owners.items() if len(addresses) == 1 or _is_claimed(name)]
    return sorted(alone, key=str.casefold)


def _is_claimed(name: str) -> bool:
    return any(backend.claims(name) > 0 for _, backend in backends())
