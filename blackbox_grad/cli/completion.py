"""What a shell completes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence

import typer

from blackbox_grad.cache import JsonCache, digest
from blackbox_grad.effects.addresses import backend_names, backends, catalogue, end_of, file_stamp
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.parameters.names import plain_name
from blackbox_grad.parameters.space import SELECTIONS


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


# parameters of the effect in the same command line, once a command has opened it


def remember_parameters(info: EffectInfo) -> None:
    """Keep the names for the next command line."""
    _remembered().put(info.spec.address, _stamp(info.spec), [p.name for p in info.parameters.everything])


def set_names(context: typer.Context, incomplete: str) -> list[str]:
    """For --set: "Tube_Drive=". No effect is opened."""
    return [f"{name}=" for name in _names(context, incomplete)]


def only_names(context: typer.Context, incomplete: str) -> list[str]:
    """For --only."""
    return [*_names(context, incomplete), *(name for name in SELECTIONS if name.startswith(incomplete))]


def remember_presets(spec: EffectSpec, names: Sequence[str]) -> None:
    """Keep the names for the next command line."""
    JsonCache("preset-names").put(spec.address, _stamp(spec), list(names))


def preset_names(context: typer.Context, incomplete: str) -> list[str]:
    """For --preset: names of factory presets, once `inspect --presets` has read them."""
    with contextlib.suppress(BlackboxGradError):
        spec = _spec(context)
        names = JsonCache("preset-names").get(spec.address, _stamp(spec)) or []
        return [name for name in names if name.casefold().startswith(incomplete.casefold())]
    return []


def _spec(context: typer.Context) -> EffectSpec:
    # what is given by place is not sorted into parameters yet, while a shell completes
    given = [context.params.get(name) for name in ("address", "effect_name", "effect_place")] + context.args[:1]
    return EffectSpec.of(next(filter(None, given), ""))


def _names(context: typer.Context, incomplete: str) -> list[str]:
    """Spelt without spaces, which would need quotes, as far as that finds one parameter alone."""
    names: list[str] = []
    with contextlib.suppress(BlackboxGradError):
        spec = _spec(context)
        names = _remembered().get(spec.address, _stamp(spec)) or []
    plain = [plain_name(name) for name in names]
    alone = [re.sub(r"\s+", "_", name) for name, spelt in zip(names, plain, strict=True) if plain.count(spelt) == 1]
    return [name for name in alone if name.casefold().startswith(incomplete.casefold())]


def _remembered() -> JsonCache:
    return JsonCache("parameter-names")


def _stamp(spec: EffectSpec) -> str:
    return digest(*(file_stamp(part.address) for part in spec.parts or (spec,)))
