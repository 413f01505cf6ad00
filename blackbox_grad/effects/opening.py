"""Opened effects: selected parameters, chains, and a description of an effect that does not hold it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from blackbox_grad.dependencies import missing_dependency
from blackbox_grad.effects.addresses import backend
from blackbox_grad.effects.audio import Audio, check_audio
from blackbox_grad.effects.automation import AutomatedEffect, Moving
from blackbox_grad.effects.chaining import ChainedEffect
from blackbox_grad.effects.curves import Curves, check_table
from blackbox_grad.effects.first_look import LOOK, FirstLook, first_look, remembered_look, warn_of_dead
from blackbox_grad.effects.float_mode import float_mode_kept
from blackbox_grad.effects.notes import Notes
from blackbox_grad.effects.packing import is_packed, parted, unpacked
from blackbox_grad.effects.plugin import PluginEffect
from blackbox_grad.effects.preset_files import check_preset_path, write_preset
from blackbox_grad.effects.presets import Presets, StoredPreset, preset_name, presets_of, starting_from
from blackbox_grad.effects.protocols import Beside, Closing, Effect, Takes
from blackbox_grad.effects.spec import AnyEffect, EffectSpec, as_spec
from blackbox_grad.errors import AudioError, BlackboxGradError, EffectLoadError, ParameterError, RenderError
from blackbox_grad.files import check_readable_folder
from blackbox_grad.markup import heading
from blackbox_grad.parameters.names import find_fixed, find_names
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace, Selection

#: An entry of `EffectSpec.learnt`, for backends that `opens_gently`: opening the effect has ended a process.
GENTLE = "gentle"


@dataclass(frozen=True)
class EffectInfo:
    """A description of an opened effect that does not hold it: a host's answer to `open`. Fields as in `Effect`.

    `takes` is "audio", or "notes" for an instrument, and `beside` what it takes beside that. `notes` are sentences on how it was
    opened, such as a parameter that is kept from values at which the plug-in fails.

    `spec` opens the effect again, with what its backend learnt.
    """

    name: str
    parameters: ParameterSpace
    sample_rate: float
    latency: int
    repeatability: float
    layout: str
    spec: EffectSpec = field(repr=False)
    notes: tuple[str, ...] = ()
    takes: Takes = "audio"
    beside: Beside = ""

    @property
    def look(self) -> FirstLook | None:
        """Which of the free parameters change nothing, and what would wake them; None if nobody looked."""
        return FirstLook.of(self.spec)

    @classmethod
    def of(cls, effect: SelectedEffect) -> EffectInfo:
        """From an opened effect."""
        return cls(**{f.name: getattr(effect, f.name) for f in fields(cls)})


def load(
    address: AnyEffect,
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
        parameters: the free parameters: names and patterns of names ("Gain *"), "continuous" (default), "audible" (the continuous
            ones that change the sound while the others are held), "trainable" or "all".
        fixed: values of other parameters, by name.
        options: passed to the backend (`preset=`, `state=`, …).

    A `DeadParameterWarning` names parameters that change nothing, and the switches that would wake them.

    To train through it, use `DifferentiableEffect`, which opens effects in other processes.
    """
    effect = open_effect(as_spec(address, sample_rate, parameters, fixed, **options))
    warn_of_dead(effect.spec, len(effect.parameters))
    return effect


def open_effect(spec: EffectSpec, guard: Callable[[], AbstractContextManager[object]] = nullcontext) -> SelectedEffect:
    """Open an effect in this process, and take a first look: it is in the spec that the effect knows.

    Args:
        spec: the recipe.
        guard: a context for each render of the look, which may end this process: the next one then opens without a look.
    """
    effect = _opened(spec)
    try:
        return effect.looked_at(guard)
    except BaseException:
        effect.close()
        raise


def _opened(spec: EffectSpec) -> SelectedEffect:
    return _moving(spec, spec.curves) if spec.curves else _still(spec)


def _moving(spec: EffectSpec, curves: Curves) -> SelectedEffect:
    """An effect of whose parameters some are curves."""
    still = replace(spec, curves=None)
    effect = open_effect(still) if still.parameters == "audible" else _still(still)
    try:
        moving = AutomatedEffect(effect.freeing(curves.parameters), curves)
    except BlackboxGradError as error:
        effect.close()
        raise type(error)(f"{spec.address}: {error}") from error
    return SelectedEffect(moving, moving.selected, replace(effect.spec, curves=curves))


def _still(spec: EffectSpec) -> SelectedEffect:
    effect, known = _chained(spec) if spec.parts else _single(spec)
    try:
        space, notes, name = effect.parameters, tuple[str, ...](), preset_name(dict(spec.options))
        if name is not None and spec.parts and not has_presets(spec):
            raise EffectLoadError(f"no preset {name!r}: no part of the chain has presets; leave preset= out")
        if name is not None and has_presets(spec):
            space, notes = starting_from(name, _stored(effect, None), space)
        space = space.select(spec.parameters, dict(spec.fixed))
    except BlackboxGradError as error:
        effect.close()
        raise type(error)(f"{spec.address}: {error}") from error
    return SelectedEffect(effect, space, known, notes)


def _single(spec: EffectSpec) -> tuple[Effect, EffectSpec]:
    """The effect, and the spec with what its backend learnt."""
    name, _, locator = spec.address.partition(":")
    try:
        with float_mode_kept():
            opening = backend(name)
            learnt = _of_backend(spec)
            if not getattr(opening, "opens_gently", False):
                learnt.pop(GENTLE, None)
            if spec.fixed and getattr(opening, "takes_fixed", False):
                learnt["fixed"] = dict(spec.fixed)
            options = dict(spec.options)
            if preset_name(options) is not None and has_presets(spec):
                del options["preset"]
            effect = opening.open(locator, spec.sample_rate, options | learnt)
    except ModuleNotFoundError as error:
        raise missing_dependency(error, f"backend {name!r}") from error
    except BlackboxGradError:
        raise
    except Exception as error:  # from a plug-in: ZynReverb throws std::bad_alloc, which arrives as a MemoryError
        raise EffectLoadError(f"{spec.address}: {type(error).__name__} while opening it: {error}") from error
    look = tuple(entry for entry in spec.learnt if entry[0] == LOOK)
    return effect, replace(spec, learnt=tuple(getattr(effect, "learnt", {}).items()) + look)


def has_presets(spec: EffectSpec) -> bool:
    """Whether the effect's backend reads presets: `preset=` may then be the name of one. A chain has those of its parts."""
    if spec.parts:
        return any(map(has_presets, spec.parts))
    return bool(getattr(backend(spec.address.partition(":")[0]), "has_presets", False))


def _stored(effect: Any, folder: str | None) -> Iterable[StoredPreset]:
    read = getattr(effect, "stored_presets", None)
    found: Iterable[StoredPreset] = () if read is None else read(folder)
    return found


def gentler(spec: EffectSpec) -> EffectSpec:
    """The spec after opening it has ended a process: backends that can open it with less of its settings do."""
    return replace(spec, learnt=(*spec.learnt, (GENTLE, True)), parts=tuple(map(gentler, spec.parts)))


def _of_backend(spec: EffectSpec) -> dict[str, Any]:
    """What the backend learnt. The rest of what is known is the core's."""
    return {name: value for name, value in spec.learnt if name != LOOK}


def _chained(spec: EffectSpec) -> tuple[Effect, EffectSpec]:
    opened: list[SelectedEffect] = []
    try:
        opened.extend(open_effect(p) if p.parameters == "audible" else _opened(p) for p in spec.parts)
        if late := [part.spec.address for part in opened[1:] if part.takes == "notes"]:
            raise EffectLoadError(f"{spec.address}: {late[0]} is an instrument, and takes no audio; put it first in the chain")
    except BaseException:
        for part in opened:
            part.close()
        raise
    return ChainedEffect(opened), replace(spec, parts=tuple(part.spec for part in opened))


class SelectedEffect(Closing):
    """An effect with some parameters free and the others held: what `load` returns and hosts work with."""

    def __init__(self, effect: Effect, parameters: ParameterSpace, spec: EffectSpec, notes: tuple[str, ...] = ()) -> None:
        self._effect, self._notes = effect, notes
        # `render` below checks its arguments; a second check costs 0.1 ms, and a fast plug-in renders a second of audio in 0.2 ms
        self._render = effect.render_checked if isinstance(effect, PluginEffect) else effect.render
        self.parameters = parameters
        self.spec = spec
        self.name = effect.name
        self.sample_rate = effect.sample_rate
        self.latency = effect.latency
        self.layout = effect.layout
        self.notes: tuple[str, ...] = (*getattr(effect, "notes", ()), *notes)
        self.takes: Takes = getattr(effect, "takes", "audio")
        self.beside: Beside = getattr(effect, "beside", "")

    def __repr__(self) -> str:
        free, everything = len(self.parameters), len(self.parameters.everything)
        count = f"{free} of {everything} parameters free"
        return f"SelectedEffect({self.name}, {self.spec.address!r}, {self.sample_rate:g} Hz, {count})"

    def _repr_html_(self) -> str:
        late = f"{self.latency} samples of latency, taken out" if self.latency else ""
        facts = ", ".join(filter(None, (f"{self.sample_rate:g} Hz", self.layout, late)))
        return heading(self.name, self.spec.address, facts) + self.parameters._repr_html_()

    @property
    def repeatability(self) -> float:
        return self._effect.repeatability

    @property
    def curve_block(self) -> int:
        """Samples between two changes of a setting that moves; 0 if the effect's settings cannot move."""
        return getattr(self._effect, "curve_block", 0)

    @property
    def still(self) -> Moving | None:
        """Of an effect whose settings move: the effect with constant settings. None of others."""
        return self._effect.effect if isinstance(self._effect, AutomatedEffect) else None

    def freeing(self, names: Sequence[str]) -> SelectedEffect:
        """The same effect, with these parameters free too: names, and patterns of names.

        Raises:
            ParameterError: there are none of these names, or they are fixed.
        """
        space = self.parameters
        known = [p.name for p in space.everything]
        pinned = {find_fixed(name, value, known)[0] for name, value in self.spec.fixed}
        wanted = find_names(names, known, pinned | {i for i, p in enumerate(space.everything) if not p.trainable})
        if still := [known[i] for i in wanted if i in pinned]:
            raise ParameterError(f"parameter {still[0]!r} is fixed, so it cannot move; leave it out of fixed= or of the curves")
        free = (*space.free, *(i for i in wanted if i not in space.free))
        return SelectedEffect(self._effect, ParameterSpace(space.everything, free, space.held), self.spec, self._notes)

    @property
    def look(self) -> FirstLook | None:
        """Which parameters change nothing, and what would wake them; None if nobody looked."""
        return FirstLook.of(self.spec)

    def looked_at(self, guard: Callable[[], AbstractContextManager[object]] = nullcontext) -> SelectedEffect:
        """The same effect, with a first look in its spec; of "audible" parameters, only those that are heard are free."""
        spec, space = self.spec, self.parameters
        if not (len(space) and getattr(self._effect, "first_look", True)):
            return self
        with float_mode_kept():
            look = remembered_look(spec, lambda: self._first_look(guard))
        known = tuple(entry for entry in spec.learnt if entry[0] != LOOK)
        spec = replace(spec, learnt=(*known, look.learnt(spec)))
        if spec.parameters == "audible" and look.dead:
            if len(look.dead) == len(space):
                raise ParameterError(look.warning(spec.address, len(space)))
            heard = [i for i in space.free if space.everything[i].name not in look.dead]
            space = ParameterSpace(space.everything, heard, space.held)
        return SelectedEffect(self._effect, space, spec, self._notes)

    def _first_look(self, guard: Callable[[], AbstractContextManager[object]] = nullcontext) -> FirstLook:
        def render(audio: Audio, values: FloatArray) -> Audio:
            with guard():
                return self._render(audio, values)

        channels = 1 if getattr(self._effect, "outputs", 2) == 1 else 2
        names = [p.name for p in self.parameters.everything]
        pinned = [names[find_fixed(name, value, names)[0]] for name, value in self.spec.fixed]
        return first_look(
            render, self.parameters, self.sample_rate, channels, self.repeatability, pinned, self.takes, self.beside
        )

    def presets(self, folder: str | os.PathLike[str] | None = None) -> Presets:
        """The plug-in's factory presets as points of the space; empty if it has none.

        LV2 presets are read from their bundles, in all folders of LV2 plug-ins; programs of VSTs from the plug-in.

        Args:
            folder: read the presets in this folder instead, and in the folders in it: `.vstpreset` for VST3, `.fxp` and `.fxb` for
                VST2, bundles for LV2.

        Raises:
            AudioError: the folder is none, or cannot be read.
        """
        return presets_of(self.stored_presets(folder), self.parameters)

    def stored_presets(self, folder: str | os.PathLike[str] | None = None) -> list[StoredPreset]:
        """What `presets` makes points of."""
        with self._errors_named(), float_mode_kept():
            return list(_stored(self._effect, None if folder is None else os.fspath(check_readable_folder(folder))))

    def save_preset(self, path: str | os.PathLike[str], p: ArrayLike | None = None, *, name: str | None = None) -> Path:
        """Write the settings as a preset that a DAW loads, and return its path.

        Args:
            path: `.vstpreset` for VST3, `.fxp` or `.fxb` for VST2, `.lv2` (a bundle, which is a folder) for LV2, `.py` for
                Pedalboard's own effects, and a folder for a chain, with a preset of each part. Written whole or not at all.
            p: `[P]`; by default the effect's defaults. Parameters that are held are saved as they are.
            name: of the preset; by default that of the file.

        Raises:
            AudioError: another suffix, or there can be no such file.
            EffectLoadError: the effect saves no presets, or does not load the preset with the same values.
        """
        path = Path(path)
        check_preset_path(self.spec, path)
        write_preset(
            path, self.preset_files(path.suffix.lower(), name or path.stem, self.parameters.defaults if p is None else p)
        )
        return path

    def preset_files(self, suffix: str, name: str, point: ArrayLike) -> dict[str, bytes]:
        """What `save_preset` writes: name of a file -> its content; "" is the preset that is one file."""
        with self._errors_named(), float_mode_kept():
            save = getattr(self._effect, "preset_files", None)
            if save is None:
                raise EffectLoadError(f"{self.spec.address} saves no presets")
            files: dict[str, bytes] = save(suffix, name, self.parameters.complete(point))
            return files

    def render(self, audio: Audio | Notes, point: ArrayLike | None = None, notes: Notes | None = None) -> Audio:
        """`[C, T]`, as `audio` is.

        Args:
            audio: `[C, T]`, or `Notes` for an instrument.
            point: `[P]`; by default the parameters' defaults.
            notes: beside the audio, for an effect that listens to notes or an instrument with audio inputs.
        """
        with self._errors_named():
            values = self.parameters.complete(self.parameters.defaults if point is None else point)
            if notes is not None:
                if isinstance(audio, Notes):
                    raise AudioError("notes go in once: write render(notes, point), or render(audio, point, notes=notes)")
                audio = notes.beside(check_audio(audio), self.sample_rate)
        sound = audio.packed(self.sample_rate) if isinstance(audio, Notes) else audio
        result = self.render_at(sound, values)
        return result if notes is None else result[:-1]

    def render_at(self, audio: Audio, values: FloatArray) -> Audio:
        """`render` at `values: [F]`, as `parameters.complete(point)` gives them."""
        with self._errors_named(), float_mode_kept():
            return self._render(self._checked(audio), values)

    def _checked(self, audio: Audio) -> Audio:
        """Raises `AudioError` where notes, audio or both do not go into this."""
        checked = check_audio(audio)
        if not checked.shape[1]:
            return checked
        notes = parted(checked)[1]
        if notes is not None and not self.beside:
            only = "plays notes, and takes no audio" if self.takes == "notes" else "takes audio, and no notes"
            raise AudioError(f"{self.name} {only} beside; give it one of the two")
        if notes is not None or self.takes == "notes":
            unpacked(checked if notes is None else notes, self.sample_rate)
        elif is_packed(checked):
            way = "as notes= beside it" if self.beside else "to an instrument"
            raise AudioError(f"{self.name} is an effect, and takes audio; give the notes {way}")
        return checked

    def render_curves(self, audio: Audio, values: ArrayLike) -> Audio:
        """`audio: [C, T]`, and the settings in each block of `curve_block` samples, `[P, N] in [0, 1]` -> `[C, T]`."""
        with self._errors_named(), float_mode_kept():
            checked = self._checked(audio)
            if not self.curve_block:
                raise RenderError(f"the settings of {self.name} cannot move")
            table = check_table(values, len(self.parameters), checked.shape[1], self.curve_block)
            render = self._effect.render_curves  # type: ignore[attr-defined]
            result: Audio = render(checked, self.parameters.complete_all(table.T).T)
            return result

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
