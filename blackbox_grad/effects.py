"""Effects, backends, and the recipe from which every host opens the same effect.

An *effect* is `y = f(x, p)`: audio `x: [C, T]`, a point `p: [P]` of the unit box, audio `y: [C, T]`. It can be rendered and not
differentiated. This module needs numpy only: host processes import it.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from numbers import Real
from types import TracebackType
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blackbox_grad.errors import (
    AddressError,
    AudioError,
    BlackboxGradError,
    EffectLoadError,
    ParameterError,
    RenderError,
)
from blackbox_grad.float_mode import float_mode_kept
from blackbox_grad.parameters import SELECTIONS, FloatArray, Parameter, ParameterSpace, Selection

Audio: TypeAlias = NDArray[np.float32]

#: `PluginEffect.inputs` and `outputs` of an effect that takes any number of channels.
ANY = 0

#: Hz. Plug-ins make buffers of so many samples a second, and crash where there is no memory for them.
HIGHEST_RATE = 1e7

#: A chain is written `first | second`. With Faust source text in it, which has bars of its own, only a bar before something with
#: a backend or a path splits.
_BAR = re.compile(r"\s+\|\s+")
_BAR_BESIDE_SOURCE = re.compile(r"\s+\|\s+(?=[A-Za-z][\w+-]+:|[./~])")


class Effect(Protocol):
    """An opened effect.

    `render` is a *pure function*: the same audio and point give the same bits, whatever was rendered before; nothing is
    mutated; the length is kept; reported latency is taken out. `repeatability` says how well the effect keeps this.
    """

    @property
    def name(self) -> str:
        """What the plug-in calls itself."""
        ...

    @property
    def parameters(self) -> ParameterSpace:
        """The controls; a point has one value for each free one."""
        ...

    @property
    def sample_rate(self) -> float:
        """Hz."""
        ...

    @property
    def latency(self) -> int:
        """Samples of delay that the plug-in reports (at its default settings) and that `render` removes."""
        ...

    @property
    def repeatability(self) -> float:
        """Largest measured relative error `‖y' - y‖ / ‖y‖` between renders of the same input; 0 is bit-equal."""
        ...

    @property
    def layout(self) -> str:
        """The plug-in's own channels, and so how other channel counts are adapted: "2 in, 2 out"."""
        ...

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        """`audio: [C, T] float32`, `point: [P] in [0, 1]` -> `[C, T] float32`."""
        ...

    def close(self) -> None:
        """Let the plug-in go. Safe to call twice."""
        ...


class Backend(Protocol):
    """Opens the effects of one host library. Found through the entry-point group `blackbox_grad.backends`."""

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> Effect:
        """Open what stands behind `backend:` in an address, with *all* its user controls free.

        Raises:
            EffectNotFoundError: there is no such effect.
            EffectLoadError: it cannot be opened.
        """
        ...

    def claims(self, locator: str) -> float:
        """How surely a bare path, URI or name belongs to this backend: 0 (not at all, always safe) to 1. Opens nothing."""
        ...

    def scan(self) -> Iterator[str]:
        """Locators of the effects that seem to be installed. Opens nothing, so a listed one may still fail to open.

        A backend may also have `file(locator) -> Path | None`, the file behind a locator: a scan that opens effects remembers
        its result until that file changes.
        """
        ...


@dataclass(frozen=True)
class EffectSpec:
    """A picklable recipe: every host opens the same effect from it.

    Attributes:
        address: `backend:locator`, or several joined by ` | `.
        sample_rate: Hz.
        parameters: the free parameters: names, "continuous" (default), "trainable" or "all".
        fixed: pairs of name and value for others (normalised number, or text with a unit).
        options: pairs for the backend, such as `("preset", "warm.vstpreset")`.
        parts: the effects of a chain, in order; empty for a single effect.
        learnt: what the backend measured when it opened the effect; it is given back as options, so that the next host opens the
            effect in the same way, and quicker. Not part of what a spec is equal by.
        files: modification time and size of the files that the address and the options name.
    """

    address: str
    sample_rate: float = 44100.0
    parameters: str | tuple[str, ...] = "continuous"
    fixed: tuple[tuple[str, float | str], ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    parts: tuple[EffectSpec, ...] = ()
    learnt: tuple[tuple[str, Any], ...] = field(default=(), compare=False)
    files: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if not (isinstance(self.sample_rate, Real) and 1.0 <= self.sample_rate <= HIGHEST_RATE):
            raise EffectLoadError(
                f"{self.address}: sample_rate must be a number of Hz from 1 to {HIGHEST_RATE:g}, got {self.sample_rate!r}"
            )
        object.__setattr__(self, "sample_rate", float(self.sample_rate))

    @cached_property
    def key(self) -> str:
        """A short name, equal for equal specs, in every process."""
        return hashlib.sha256(pickle.dumps(_unlearnt(self), protocol=4)).hexdigest()[:32]

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
        """A spec from ordinary arguments; the address is completed with its backend (`ZamTube.vst3` -> `pedalboard:…`).

        Paths become absolute, and the spec remembers the state of its files: after a change, it is another one.
        """
        from blackbox_grad.registry import resolve_address

        if not isinstance(address, (str, os.PathLike)):
            raise AddressError(f"an effect's address must be text or a path, got {type(address).__name__}")
        if not isinstance(parameters, Iterable):
            raise ParameterError(
                f"{address}: parameters={parameters!r}: give 'continuous', 'trainable', 'all' or a list of names"
            )
        if not isinstance(fixed, Mapping | None):
            raise ParameterError(f"{address}: fixed={fixed!r}: give a dict of names and values")
        address = os.fspath(address)
        addresses = split_chain(address)
        chosen = parameters if isinstance(parameters, str) else tuple(parameters)
        pinned = tuple((fixed or {}).items())
        if len(addresses) == 1:
            backend, _, locator = resolve_address(address).partition(":")
            locator, *stamps = _absolute(locator)
            for name, value in options.items():
                options[name], *more = _absolute(value) if isinstance(value, (str, os.PathLike)) else (value,)
                stamps += more
            given = tuple(sorted(options.items()))
            return cls(f"{backend}:{locator}", sample_rate, chosen, pinned, given, files=tuple(stamps))
        if options:
            raise AddressError(
                f"options {sorted(options)} are for one effect, and {address!r} is a chain; build the parts with "
                "EffectSpec.of(…) and join them with chain(…)"
            )
        parts = tuple(cls.of(a, sample_rate, "all") for a in addresses)
        return cls(" | ".join(p.address for p in parts), sample_rate, chosen, pinned, (), parts)

    def open(self) -> SelectedEffect:
        """Open the effect in this process and thread, with the chosen parameters free."""
        from blackbox_grad.registry import backend, missing_dependency

        if self.parts:
            opened: list[SelectedEffect] = []
            try:
                opened.extend(part.open() for part in self.parts)
            except BaseException:
                for part in opened:
                    part.close()
                raise
            effect: Effect = ChainedEffect(opened)
            spec = replace(self, parts=tuple(part.spec for part in opened))
        else:
            name, _, locator = self.address.partition(":")
            try:
                with float_mode_kept():
                    effect = backend(name).open(locator, self.sample_rate, dict(self.options + self.learnt))
            except ModuleNotFoundError as error:
                raise missing_dependency(error, f"backend {name!r}") from error
            spec = replace(self, learnt=tuple(getattr(effect, "learnt", {}).items()))
        try:
            space = effect.parameters.select(self.parameters, dict(self.fixed))
        except BlackboxGradError as error:
            effect.close()
            raise type(error)(f"{self.address}: {error}") from error
        return SelectedEffect(effect, space, spec)


@dataclass(frozen=True)
class EffectInfo:
    """What is known of an opened effect without holding it: a host's answer to `open`. Fields as in `Effect`.

    `spec` opens it again, with what was learnt.
    """

    name: str
    parameters: ParameterSpace
    sample_rate: float
    latency: int
    repeatability: float
    layout: str
    spec: EffectSpec = field(repr=False)

    @classmethod
    def of(cls, effect: SelectedEffect) -> EffectInfo:
        """Read it off an opened effect."""
        return cls(**{f.name: getattr(effect, f.name) for f in fields(cls)})


def _unlearnt(spec: EffectSpec) -> EffectSpec:
    return replace(spec, learnt=(), parts=tuple(map(_unlearnt, spec.parts)))


def _absolute(text: str | os.PathLike[str]) -> tuple[Any, ...]:
    """An absolute path and its file's state, if the text names a file that exists; otherwise the text alone.

    What follows `#` names a plug-in inside the file.
    """
    text = os.fspath(text)
    name, mark, inside = text.partition("#")
    path = os.path.expanduser(name)
    if "\n" in path or len(path) > 1000 or not os.path.exists(path):
        return (text,)
    state = os.stat(path)
    return os.path.abspath(path) + mark + inside, (state.st_mtime_ns, state.st_size)


def split_chain(address: str) -> list[str]:
    """`"a | b"` -> `["a", "b"]`."""
    bar = _BAR_BESIDE_SOURCE if re.search(r"\bprocess\s*=", address) else _BAR
    parts = [part.strip() for part in bar.split(f" {address} ")]
    if not all(parts) and len(parts) > 1:
        raise AddressError(f"{address!r} has an empty part; write a chain as 'first:effect | second:effect'")
    return parts


def load(
    address: str | os.PathLike[str] | EffectSpec,
    sample_rate: float = 44100.0,
    parameters: Selection = "continuous",
    fixed: Mapping[str, float | str] | None = None,
    **options: Any,
) -> SelectedEffect:
    """Open an effect in this process, to render with it directly.

    Args:
        address: `backend:locator` ("pedalboard-builtin:Reverb", "dawdreamer:http://drobilla.net/plugins/mda/Delay"), a bare
            path or LV2 URI, the file name of an installed plug-in, or a chain `a | b`.
        sample_rate: Hz.
        parameters: the free parameters: names, "continuous" (default), "trainable" or "all".
        fixed: values for others, by name.
        options: passed to the backend (`preset=`, `state=`, …).

    To train through it, use `DifferentiableEffect`, which keeps effects in processes of their own.
    """
    return as_spec(address, sample_rate, parameters, fixed, **options).open()


def as_spec(
    effect: str | os.PathLike[str] | EffectSpec,
    sample_rate: float = 44100.0,
    parameters: Selection = "continuous",
    fixed: Mapping[str, float | str] | None = None,
    **options: Any,
) -> EffectSpec:
    """A spec from an address and what goes with it; a spec passes through, and may then have nothing beside it."""
    if not isinstance(effect, EffectSpec):
        return EffectSpec.of(effect, sample_rate, parameters, fixed, **options)
    beside = sorted(options) + ["fixed"] * bool(fixed)
    beside += ["parameters"] * (parameters not in tuple(SELECTIONS))
    beside += ["sample_rate"] * (sample_rate not in (44100.0, effect.sample_rate))
    if beside:
        raise EffectLoadError(
            f"{effect.address}: an EffectSpec brings {', '.join(beside)} itself; give it to EffectSpec.of(…) for each effect, or "
            "use dataclasses.replace(spec, …)"
        )
    return effect


def chain(*effects: str | os.PathLike[str] | EffectSpec, sample_rate: float | None = None) -> EffectSpec:
    """One effect from several in series, rendered whole in a host. Parameters are prefixed with their effect: "Delay: Mix".

    What a part holds fixed stays fixed; its free parameters become the chain's.
    """
    if not effects:
        raise AddressError("chain() needs at least one effect")
    rates = {e.sample_rate for e in effects if isinstance(e, EffectSpec)} | ({sample_rate} if sample_rate else set())
    if len(rates) > 1:
        raise EffectLoadError(f"the effects of a chain need one sample rate, got {sorted(rates)} Hz")
    rate = float(rates.pop()) if rates else 44100.0
    parts = tuple(e if isinstance(e, EffectSpec) else EffectSpec.of(e, rate) for e in effects)
    return EffectSpec(" | ".join(p.address for p in parts), rate, "all", parts=parts)


_Closable = TypeVar("_Closable", bound="_Closing")


class _Closing:
    """`with load(…) as effect:` for everything that has `close`."""

    def close(self) -> None:
        """Let the plug-in go. Safe to call twice."""

    def __enter__(self: _Closable) -> _Closable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class SelectedEffect(_Closing):
    """An effect with some parameters free and the others held: what `load` returns and hosts work with."""

    def __init__(self, effect: Effect, parameters: ParameterSpace, spec: EffectSpec) -> None:
        self._effect = effect
        # what is checked here is not checked again: 0.1 ms, where cheap plug-ins render a second of audio in 0.2
        self._render = effect.render_checked if isinstance(effect, PluginEffect) else effect.render
        self.parameters = parameters
        self.spec = spec
        self.name = effect.name
        self.sample_rate = effect.sample_rate
        self.latency = effect.latency
        self.layout = effect.layout

    @property
    def repeatability(self) -> float:
        return self._effect.repeatability

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        with self._errors_named():
            values = self.parameters.complete(point)
        return self.render_at(audio, values)

    def render_at(self, audio: Audio, values: FloatArray) -> Audio:
        """`render` at `values: [F]`, as `parameters.complete(point)` gives them."""
        with self._errors_named(), float_mode_kept():
            return self._render(check_audio(audio), values)

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except BlackboxGradError as error:
            if self.spec.address in str(error):
                raise
            raise type(error)(f"{self.spec.address}: {error}") from error
        except Exception as error:
            raise RenderError(f"{self.spec.address}: {type(error).__name__} while rendering: {error}") from error

    def close(self) -> None:
        with float_mode_kept():
            self._effect.close()


class ChainedEffect(_Closing):
    """Effects in series, as one."""

    def __init__(self, effects: Sequence[Effect]) -> None:
        self._effects = list(effects)
        self._counts = [len(e.parameters) for e in effects]
        self.name = " | ".join(e.name for e in effects)
        self.sample_rate = effects[0].sample_rate
        self.latency = sum(e.latency for e in effects)
        self.layout = " | ".join(e.layout for e in effects)
        self.parameters = ParameterSpace(_prefixed(effects))

    @property
    def repeatability(self) -> float:
        return max(e.repeatability for e in self._effects)

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        values = self.parameters.check(point)
        start = 0
        for effect, count in zip(self._effects, self._counts, strict=True):
            audio = effect.render(audio, values[start : start + count])
            start += count
        return audio

    def close(self) -> None:
        for effect in self._effects:
            effect.close()


def _prefixed(effects: Sequence[Effect]) -> Iterator[Parameter]:
    for effect in effects:
        for parameter, default in zip(effect.parameters, effect.parameters.defaults, strict=True):
            yield replace(parameter, name=f"{effect.name}: {parameter.name}", default=float(default))


class PluginEffect(_Closing, ABC):
    """Base for a backend's effects: write `process`, and this class keeps the rest of the promise.

    It adapts the channel layout, takes latency out, keeps the length and the type. A subclass sets the attributes in its
    constructor and makes `process` forget everything about earlier calls. `inputs = outputs = ANY` if any number of channels goes
    straight through.
    """

    name: str
    parameters: ParameterSpace
    sample_rate: float
    inputs: int
    outputs: int
    latency: int = 0
    repeatability: float = 0.0
    learnt: Mapping[str, Any] = {}

    @abstractmethod
    def process(self, audio: Audio, values: FloatArray) -> Audio:
        """`audio: [inputs, N]`, `values: [F] in [0, 1]` (stepped ones at their levels) -> `[outputs, N]`, from a clean state."""

    def latency_at(self, values: FloatArray) -> int:
        """Latency in samples at these values; override it where it depends on them."""
        return self.latency

    @property
    def layout(self) -> str:
        return f"{self.inputs} in, {self.outputs} out" if self.inputs else "any number in, as many out"

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        return self.render_checked(check_audio(audio), self.parameters.complete(point))

    def render_checked(self, audio: Audio, values: FloatArray) -> Audio:
        """`render` with `audio` as `check_audio` and `values: [F]` as `ParameterSpace.complete` return them."""
        length = audio.shape[1]
        if length == 0:
            return audio.copy()
        late = self.latency_at(values)
        padded = np.pad(audio, ((0, 0), (0, late))) if late else audio
        result = _adapt(self.process, padded, values, self.inputs, self.outputs)
        if result.shape != padded.shape:
            raise RenderError(f"the effect returned {result.shape} for audio of shape {padded.shape} [C, T]")
        return np.ascontiguousarray(result[:, late:], dtype=np.float32)


def _adapt(process: Callable[[Audio, FloatArray], Audio], audio: Audio, values: FloatArray, inputs: int, outputs: int) -> Audio:
    """Render `[C, N]` through a plug-in with its own channel counts.

    As many channels as the plug-in has: straight through. Mono through a wider plug-in: doubled, then averaged. Several channels
    through a plug-in with one output: one at a time, a second input (side chain) gets the same channel. Several through a plug-in
    with a mono input: averaged. Side-chain inputs beyond the channels get copies.
    """
    channels = audio.shape[0]
    if inputs == ANY or inputs == outputs == channels:
        return process(audio, values)
    if channels == 1:
        result = process(np.repeat(audio, inputs, axis=0), values)
        return _mean(result)
    if outputs == 1:
        return np.concatenate([process(np.repeat(audio[c : c + 1], inputs, axis=0), values) for c in range(channels)])
    if outputs == channels and inputs >= channels:
        return process(audio[np.arange(inputs) % channels], values)
    if outputs == channels and inputs == 1:
        return process(_mean(audio), values)
    raise AudioError(
        f"{channels} channels do not fit an effect with {inputs} in and {outputs} out; give mono or {outputs} channels"
    )


def _mean(audio: Audio) -> Audio:
    """`[C, N]` -> `[1, N]`; a third of the time of `numpy.mean`."""
    if len(audio) == 1:
        return audio
    total = audio[:1] + audio[1:2]
    for channel in audio[2:]:
        total += channel
    total *= np.float32(1 / len(audio))
    return np.asarray(total, dtype=np.float32)


def check_audio(audio: ArrayLike) -> Audio:
    """`[C, T]` as contiguous float32; raises `AudioError` otherwise."""
    try:
        array = np.asarray(audio)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AudioError(f"audio must be an array [channels, samples] of float32: {error}") from error
    if array.dtype.kind not in "fiu":
        raise AudioError(f"audio must be float32 in [-1, 1], got {array.dtype}")
    if array.ndim != 2 or array.shape[0] == 0:
        hint = "; for mono write audio[None]" if array.ndim == 1 else ""
        raise AudioError(f"audio must have the shape [channels, samples], got {array.shape}{hint}")
    if array.dtype.kind != "f":
        raise AudioError(f"audio must be float32 in [-1, 1], got integers ({array.dtype}); divide by their full scale first")
    return np.ascontiguousarray(array, dtype=np.float32)
