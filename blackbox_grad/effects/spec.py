"""The recipe from which every host opens the same effect. It opens nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from numbers import Real
from typing import Any, Protocol, TypeAlias, cast

from blackbox_grad.cache import digest
from blackbox_grad.effects.curves import Curves
from blackbox_grad.errors import AddressError, EffectLoadError, ParameterError
from blackbox_grad.parameters.space import SELECTIONS, Selection

#: Hz. The sample rate sets the size of plug-ins' buffers, and plug-ins crash if there is no memory for them.
HIGHEST_RATE = 1e7

#: A chain is written `first | second`. Faust source text has bars of its own: there, only a bar before a backend or a path splits.
_BAR = re.compile(r"\s+\|\s+")

_BAR_BESIDE_SOURCE = re.compile(r"\s+\|\s+(?=[A-Za-z][\w+-]+:|[./~])")


@dataclass(frozen=True)
class EffectSpec:
    """A recipe that can be pickled: every host opens the same effect from it.

    Attributes:
        address: `backend:locator`, or several joined by ` | `.
        sample_rate: Hz.
        parameters: the free parameters: names and patterns of names ("Gain *"), "continuous" (default), "audible" (the continuous
            ones that change the sound while the others are held), "trainable" or "all".
        fixed: pairs of name and value of other parameters (normalised number, or text with a unit).
        options: pairs for the backend, such as `("preset", "warm.vstpreset")`.
        parts: the effects of a chain, in order; empty for a single effect.
        learnt: what the backend measured when it opened the effect. The next host receives it as options, and opens the effect in
            the same way, and faster. Equality of specs ignores it.
        files: modification time and size of the files that the address and the options name.
        curves: which parameters move over the audio; see `Automated`. None: all settings are constant.
    """

    address: str
    sample_rate: float = 44100.0
    parameters: str | tuple[str, ...] = "continuous"
    fixed: tuple[tuple[str, float | str], ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    parts: tuple[EffectSpec, ...] = ()
    learnt: tuple[tuple[str, Any], ...] = field(default=(), compare=False)
    files: tuple[tuple[int, int], ...] = ()
    curves: Curves | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.sample_rate, Real) and 1.0 <= self.sample_rate <= HIGHEST_RATE):
            raise EffectLoadError(
                f"{self.address}: sample_rate must be a number of Hz from 1 to {HIGHEST_RATE:g}, got {self.sample_rate!r}"
            )
        object.__setattr__(self, "sample_rate", float(self.sample_rate))

    @cached_property
    def key(self) -> str:
        """A short name, equal for equal specs, in every process."""
        return digest(_canonical(self))

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def of(
        cls,
        address: str | os.PathLike[str],
        sample_rate: float = 44100.0,
        parameters: Selection = "continuous",
        fixed: Mapping[str, float | str] | None = None,
        **options: Any,
    ) -> EffectSpec:
        """A spec from ordinary arguments. The address gets its backend (`ZamTube.vst3` -> `pedalboard:…`).

        Paths become absolute. The spec holds the state of its files: after a change, `of` makes a different spec.
        """
        from blackbox_grad.effects.addresses import locator_path, path_options, resolve_address

        if not isinstance(address, (str, os.PathLike)):
            raise AddressError(f"an effect's address must be text or a path, got {type(address).__name__}")
        if not isinstance(parameters, Iterable):
            raise ParameterError(
                f"{address}: parameters={parameters!r}: give 'continuous', 'audible', 'trainable', 'all' or a list of names"
            )
        if not isinstance(fixed, Mapping | None):
            raise ParameterError(f"{address}: fixed={fixed!r}: give a dict of names and values")
        addresses = split_chain(address) if isinstance(address, str) else [os.fspath(address)]
        address = os.fspath(address)
        chosen = parameters if isinstance(parameters, str) else tuple(parameters)
        pinned = tuple((fixed or {}).items())
        if len(addresses) == 1:
            name, _, locator = resolve_address(address).partition(":")
            locator, *stamps = _absolute(locator, locator_path(name, locator))
            for option in path_options(name):
                value = options.get(option)
                if isinstance(value, (str, os.PathLike)):
                    options[option], *more = _absolute(os.fspath(value), os.fspath(value))
                    stamps += more
            given = tuple(sorted(options.items()))
            return cls(f"{name}:{locator}", sample_rate, chosen, pinned, given, files=tuple(stamps))
        from blackbox_grad.effects.presets import preset_name

        if set(options) > {"preset"} or (preset_name(options) is None and options):
            raise AddressError(
                f"options {sorted(options)} are for one effect, and {address!r} is a chain; build the parts with "
                "EffectSpec.of(…) and join them with chain(…)"
            )
        parts = tuple(cls.of(a, sample_rate, "all") for a in addresses)
        return cls(" | ".join(p.address for p in parts), sample_rate, chosen, pinned, tuple(options.items()), parts)


def _canonical(value: Any) -> str:
    """A text that is the same for equal values: `1`, `1.0`, `True` and `numpy.float64(1)` are equal."""
    if isinstance(value, EffectSpec):
        known = tuple(getattr(value, f.name) for f in fields(value) if f.compare and f.name != "curves")
        return _canonical(known if value.curves is None else (*known, repr(value.curves)))
    if isinstance(value, Real):
        try:
            number = float(value)
        except OverflowError:  # an integer of 400 digits
            return hex(value) if isinstance(value, int) else repr(value)
        return repr(number if number == value else value)
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__}({', '.join(map(_canonical, value))})"
    return repr(value)


def _absolute(text: str, path: str | None) -> tuple[Any, ...]:
    """`text` with an absolute path and the state of its file, if `path`, its beginning, names a file; otherwise the text alone."""
    there = None if path is None else existing(path)
    if path is None or there is None:
        return (text,)
    state = os.stat(there)
    return os.path.abspath(there) + text[len(path) :].lstrip(os.sep), (state.st_mtime_ns, state.st_size)


def existing(path: str) -> str | None:
    """A path with the user's folder filled in, if there is a file or folder; None otherwise."""
    full = os.path.expanduser(path)
    return full if "\n" not in full and "\0" not in full and len(full) <= 1000 and os.path.exists(full) else None


def split_chain(address: str) -> list[str]:
    """`"a | b"` -> `["a", "b"]`. A bar within the path of a file splits nothing."""
    bar = _BAR_BESIDE_SOURCE if re.search(r"\bprocess\s*=", address) else _BAR
    pieces = re.split(f"({bar.pattern})", f" {address} ")
    parts, start = [], 0
    while start < len(pieces):
        # the longest beginning that is a file, or else one piece
        ends = [end for end in range(len(pieces), start + 1, -2) if _names_a_file("".join(pieces[start:end]))]
        end = max([*ends, start + 1])
        parts.append("".join(pieces[start:end]).strip())
        start = end + 1
    if not all(parts) and len(parts) > 1:
        raise AddressError(f"{address!r} has an empty part; write a chain as 'first:effect | second:effect'")
    return parts


def _names_a_file(address: str) -> bool:
    """With a backend before it or not, and with a plug-in's name behind it or not."""
    address = address.strip()
    return any(
        existing(path) is not None
        for text in (address, address.partition(":")[2])
        for path in (text, text.partition("#")[0], text.rpartition("#")[0])
        if path
    )


class HasSpec(Protocol):
    """An opened effect, a layer, or whatever else knows the recipe of its effect."""

    @property
    def spec(self) -> EffectSpec:
        """The recipe."""
        ...


#: What names an effect: an address, a recipe, or what knows its recipe.
AnyEffect: TypeAlias = "str | os.PathLike[str] | EffectSpec | HasSpec"


def as_spec(
    effect: AnyEffect,
    sample_rate: float = 44100.0,
    parameters: Selection = "continuous",
    fixed: Mapping[str, float | str] | None = None,
    **options: Any,
) -> EffectSpec:
    """A spec from an address and further arguments. A spec passes through, and allows no further arguments.

    What knows its spec, such as the effect that `load` opened, counts as that spec.
    """
    known = spec_of(effect)
    if known is None:
        return EffectSpec.of(cast("str | os.PathLike[str]", effect), sample_rate, parameters, fixed, **options)
    effect = known
    beside = sorted(options) + ["fixed"] * bool(fixed)
    beside += ["parameters"] * (parameters not in tuple(SELECTIONS))
    beside += ["sample_rate"] * (sample_rate not in (44100.0, effect.sample_rate))
    if beside:
        raise EffectLoadError(
            f"{effect.address}: an EffectSpec already sets {', '.join(beside)}; give it to EffectSpec.of(…) for each effect, or "
            "use dataclasses.replace(spec, …)"
        )
    return effect


def spec_of(effect: AnyEffect) -> EffectSpec | None:
    """The recipe that `effect` is or knows; None for an address."""
    found = effect if isinstance(effect, EffectSpec) else getattr(effect, "spec", None)
    return found if isinstance(found, EffectSpec) else None


def chain(*effects: AnyEffect, sample_rate: float | None = None) -> EffectSpec:
    """One effect from several in series, rendered whole in a host. Parameters are prefixed with their effect: "Delay: Mix".

    The fixed parameters of a part stay fixed; its free parameters become the chain's.
    """
    if not effects:
        raise AddressError("chain() needs at least one effect")
    known = [spec_of(e) for e in effects]
    rates = {spec.sample_rate for spec in known if spec} | ({sample_rate} if sample_rate else set())
    if len(rates) > 1:
        raise EffectLoadError(f"the effects of a chain need one sample rate, got {sorted(rates)} Hz")
    rate = float(rates.pop()) if rates else 44100.0
    parts = tuple(
        spec or EffectSpec.of(cast("str | os.PathLike[str]", e), rate) for e, spec in zip(effects, known, strict=True)
    )
    return EffectSpec(" | ".join(p.address for p in parts), rate, "all", parts=parts)
