"""Inference: set an effect so that one recording sounds like another."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from blackbox_grad import EffectSpec, Host
from blackbox_grad.audio_files import resample
from blackbox_grad.effects import Audio, EffectInfo, check_audio, locator_path, saved_settings
from blackbox_grad.errors import AudioError, ParameterError
from blackbox_grad.hosts import opened_host, save_preset_in
from blackbox_grad.inspection import SoundPath, find_neutral
from blackbox_grad.interrupts import deferred_interrupts
from blackbox_grad.parameters import carried, differing
from blackbox_grad_adapters.style_matching.data.excerpts import loudest
from blackbox_grad_adapters.style_matching.effect_path import PEAK, EffectPath, normalise
from blackbox_grad_adapters.style_matching.matching.refinement import refined
from blackbox_grad_adapters.style_matching.measures.spectral import multi_resolution_stft
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError

#: A peak below this, -100 dBFS, is silence.
_SILENCE = 1e-5

#: Seconds of audio for the comparison of sample rates.
_COMPARED = 5.0

#: An effect sounds different at another sample rate if its output differs by this part of the difference between dry and wet.
_OTHER = 0.5


@dataclass(frozen=True)
class StyleMatch:
    """The result of `StyleMatcher.match`.

    Attributes:
        y: `[C, T] float32`: the input through the effect, with the input's peak.
        p: `[P]`, the settings, at `sample_rate`.
        sample_rate: Hz, of `y`.
        info: the effect, at `sample_rate`.
        gain: dB. The effect receives the input this much louder, with its peak at -12 dBFS as in training.
        renders: the number spent on the settings.
        distance, distance_before: between the encoder's traits of the reference and of the input through the effect, and of the
            dry input; 1 is usual for two parts of one recording.
        interrupted: Ctrl-C or SIGTERM ended the refinement; these are the best settings so far.
        amount: how much of the settings that were found `p` is: 0 is neutral.
    """

    y: NDArray[np.float32]
    p: NDArray[np.float64]
    sample_rate: float
    info: EffectInfo
    gain: float
    renders: int
    distance: float
    distance_before: float
    interrupted: bool = False
    amount: float = 1.0

    def settings(self) -> dict[str, str]:
        """The effect's own texts of the free parameters, by name."""
        space = self.info.parameters
        return {parameter.name: parameter.text(float(value)) for parameter, value in zip(space, self.p, strict=True)}

    def save_preset(self, path: str | os.PathLike[str], *, name: str | None = None, host: str | Host | None = None) -> Path:
        """Write the settings as a preset that a DAW loads, and return its path; see `SelectedEffect.save_preset`.

        The effect received the input `gain` dB louder; a preset does not hold that.
        """
        with opened_host(host, hosts=1) as opening:
            return save_preset_in(opening, self.info.spec, path, self.p, name=name)

    def to_json(self) -> dict[str, Any]:
        """Everything but the audio, ready for `json.dumps`."""
        saved = saved_settings(self.info, self.p)
        return {
            **saved,
            "parameters": [row for row in saved["parameters"] if row["free"]],
            "input_gain_db": self.gain,
            "renders": self.renders,
            "distance": self.distance,
            "distance_before": self.distance_before,
            "interrupted": self.interrupted,
            "amount": self.amount,
        }


class StyleMatcher:
    """An encoder, a controller and its effect.

    Args:
        controller: trained, with its header.
        encoder: the one that it was trained with.
        host: where to render: a host, or its description ("processes:hosts=2"); by default the one that all modules share.
        effect: its address; by default the effect that the controller was trained with.

    Attributes:
        path: the effect at the encoder's sample rate, as in training.
    """

    def __init__(
        self, controller: Controller, encoder: Encoder, host: str | Host | None = None, effect: str | None = None
    ) -> None:
        self.controller, self.encoder = controller.eval(), encoder.eval()
        try:
            address, names = effect or controller.header["effect"], tuple(controller.header["parameters"])
        except KeyError as error:
            raise WeightsError(f"the controller's header does not name its {error}") from error
        except TypeError as error:
            raise WeightsError(f"the controller's header does not list its parameters ({error})") from error
        if not (isinstance(address, str) and all(isinstance(name, str) for name in names)):
            raise WeightsError(f"the controller's header does not name its effect and parameters: {address!r}, {names!r}")
        spec = EffectSpec.of(address, encoder.sample_rate, names)
        if effect is None and (what := _brings_code(spec)):
            raise WeightsError(
                f"the weights name {what}, {spec.address!r}, which would run as you; if you trust it, give it as the effect: "
                f"effect={spec.address!r} or --effect"
            )
        try:
            self.path = EffectPath(spec, host=host)
        except ParameterError as error:
            raise WeightsError(f"the controller was trained for {', '.join(names)} of another effect: {error}") from error
        self._check_ranges()

    def _check_ranges(self) -> None:
        """Raise `WeightsError` if the effect has other ranges than in training, where the same settings were other values."""
        space = self.path.effect.parameter_space
        try:
            rows = {row["name"]: row for row in self.controller.header.get("ranges", [])}
            changed = differing([rows[name] for name in space.names], space) if rows else []
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"the controller's header does not list the ranges of its parameters ({error})") from error
        if changed:
            name = changed[0]
            low, high = rows[name]["range"]
            now = space[space.names.index(name)]
            raise WeightsError(
                f"{self.path.spec.address}: the controller was trained with {name!r} from {low:g} to {high:g} "
                f"{rows[name]['unit']}, and it goes from {now.text(0.0)} to {now.text(1.0)} in the effect that is installed: "
                "train it anew, or install the version that it was trained with"
            )

    @classmethod
    def load(cls, model: str | os.PathLike[str], host: str | Host | None = None, *, effect: str | None = None) -> StyleMatcher:
        """From an effect with weights in the package (its address, or its end: "Overdrive"), a file of weights, or a run's folder.

        Args:
            effect: the address to open, if the plug-in is not at the address of the training.

        Raises:
            WeightsError: there are no such weights, they are damaged, or they are for parameters that the effect does not have.
            EffectNotFoundError: the effect is not installed.
        """
        return cls(*shipped.controller(model), host, None if effect is None else shipped.address_of(effect))

    def predict(self, x: Tensor, reference: Tensor) -> Tensor:
        """Settings `[B, P]` with which `x: [B, C, T]` sounds like `reference: [B, C, T']`, both at the encoder's sample rate."""
        with torch.no_grad():
            p: Tensor = self.controller(self.encoder.embed(x), self.encoder.embed(reference))
        return p

    def refine(self, x: Tensor, reference: Tensor, p: Tensor, renders: int, seed: int = 0) -> Tensor:
        """Better settings `[P]` than `p: [P]` for one `x: [C, T]` and `reference: [C, T']`, at the encoder's sample rate."""
        return refined(self.encoder, self.path, x, reference, p, self._variance(), renders, seed)

    def _variance(self) -> Tensor:
        """`[P]`: variance of the controller's errors, from its training; of a random guess, if the header does not say."""
        shares: dict[str, float] = self.controller.header.get("results", {}).get("explained", {})
        unexplained = [1.0 - min(shares.get(name, 0.0), 0.9) for name in self.path.names]
        return torch.tensor(unexplained).clamp_max(1.0) / 12.0  # settings are uniform in [0, 1]

    def match(
        self,
        x: ArrayLike | Tensor,
        reference: ArrayLike | Tensor,
        sample_rate: float,
        reference_rate: float | None = None,
        *,
        refine: int = 0,
        seed: int = 0,
        amount: float = 1.0,
    ) -> StyleMatch:
        """Set the effect so that `x` sounds like `reference`.

        Args:
            x, reference: `[C, T]` each, of any length and number of channels.
            sample_rate: Hz, of `x` and of the result.
            reference_rate: Hz, of the reference, if it differs.
            refine: renders to spend on better settings.
            seed: of the refinement.
            amount: how much of the settings found: 0 is neutral, where the effect does nothing or least; 1.5 the most, past them.
                The sound moves from the neutral one in proportion (`blackbox_grad.inspection.SoundPath`).

        Ctrl-C or SIGTERM ends the refinement with the best settings so far; the second one raises `KeyboardInterrupt`.

        Warns if the effect sounds different at `sample_rate` than at the encoder's rate, for which it is set.

        Raises:
            AudioError: a recording is silent, or holds NaN or infinity.
        """
        audio, other = audible(x, "the input"), audible(reference, "the reference")
        dry, goal_audio = (
            torch.from_numpy(self._resampled(a, rate))[None]
            for a, rate in ((audio, sample_rate), (other, reference_rate or sample_rate))
        )
        p = self.predict(dry, goal_audio)
        with deferred_interrupts() as interrupt:  # there are settings: they are not lost any more
            if refine:
                p = self.refine(dry[0], goal_audio[0], p[0], refine, seed)[None]
            if amount != 1.0:
                p = self._blended(p, amount, dry)
            with torch.no_grad():
                goal = self.encoder.traits(goal_audio)
                distances = [
                    float((self.encoder.traits(a) - goal).square().mean().sqrt())
                    for a in (self.path(dry, p), self.path.dry(dry))
                ]
            there = self._at(sample_rate)
            moved = self._carried(p, there)
            if there is not self.path:
                self._compare(there, torch.from_numpy(audio), moved, p)
            y = self._render(audio, there, moved)
        return StyleMatch(
            y=y,
            p=moved[0].double().numpy(),
            sample_rate=float(sample_rate),
            info=there.effect.info,
            gain=20.0 * float(np.log10(PEAK / np.abs(audio).max())),
            renders=refine,
            distance=distances[0],
            distance_before=distances[1],
            interrupted=interrupt.pressed,
            amount=amount,
        )

    def _resampled(self, audio: Audio, rate: float) -> Audio:
        return audio if rate == self.encoder.sample_rate else resample(audio, rate, self.encoder.sample_rate)

    def _blended(self, p: Tensor, amount: float, dry: Tensor) -> Tensor:
        """`[1, P]`: so much of these settings, as it is heard with `dry: [1, C, T]` at the end of the path."""
        effect = self.path.effect
        liked = p[0].double().numpy()
        neutral = find_neutral(effect.host, effect.info, liked)
        sound = normalise(dry)[0].numpy()
        way = SoundPath(effect.host, effect.info, neutral.point, liked, sound, _at_the_same_peak)
        return torch.from_numpy(way.at(amount)).to(p)[None]

    def _at(self, rate: float) -> EffectPath:
        """The path at another sample rate (Hz)."""
        if rate == self.path.sample_rate:
            return self.path
        return EffectPath(EffectSpec.of(self.path.spec.address, rate, self.path.names), host=self.path.effect.host)

    def _carried(self, p: Tensor, path: EffectPath) -> Tensor:
        """`[1, P]`: the settings with the same native values on a path at another sample rate."""
        if path is self.path:
            return p
        try:
            point = carried(p[0].double().numpy(), self.path.effect.parameter_space, path.effect.parameter_space)
        except ParameterError as error:
            raise ParameterError(
                f"{path.spec.address} at {path.sample_rate:g} Hz: {error}; the network sets it at {self.path.sample_rate:g} Hz: "
                "give it audio at that rate"
            ) from error
        return torch.from_numpy(point).to(p)[None]

    def _render(self, audio: Audio, path: EffectPath, p: Tensor) -> Audio:
        """Render the whole recording at its own rate, that of `path`, and at its own level."""
        with torch.no_grad():
            y: Audio = path.render(torch.from_numpy(audio)[None], p)[0].numpy()
        peak = np.abs(y).max()
        return y * (np.abs(audio).max() / peak) if peak > _SILENCE else y

    def _compare(self, path: EffectPath, audio: Tensor, p: Tensor, meant_p: Tensor) -> None:
        """Warn if the effect differs between the rates of `path` and of the encoder, on the loudest part of `audio: [C, T]`.

        `p` and `meant_p`, `[1, P]`, are the settings at these two rates.
        """
        rate, meant = path.sample_rate, self.encoder.sample_rate
        excerpt = loudest(audio, round(_COMPARED * rate))[None]
        with torch.no_grad():
            moved = torch.from_numpy(self._resampled(path.render(excerpt, p)[0].numpy(), rate))[None]
            dry = torch.from_numpy(self._resampled(excerpt[0].numpy(), rate))[None]
            there = self.path(dry, meant_p)
            apart, whole = (float(multi_resolution_stft(y, there)) for y in (self.path.finish(moved), self.path.dry(dry)))
        if apart > _OTHER * whole:
            warnings.warn(
                f"{self.path.spec.address} sounds different at {rate:g} Hz than at {meant:g} Hz, for which it was set; give it "
                f"audio at {meant:g} Hz to avoid this",
                stacklevel=4,
            )


def _at_the_same_peak(y: Audio) -> Audio:
    normalised: Audio = normalise(torch.from_numpy(y)[None])[0].numpy()
    return normalised


def audible(audio: Any, name: str) -> Audio:
    """`audio` as an array `[C, T]`. Raises `AudioError`, with `name`, if it is silent."""
    checked = check_audio(audio.detach().cpu() if isinstance(audio, Tensor) else audio)
    if not np.isfinite(checked).all():
        raise AudioError(f"{name} holds NaN or infinity")
    if np.abs(checked).max(initial=0.0) < _SILENCE:
        raise AudioError(f"{name} is silent: its peak lies below -100 dBFS, or it has no samples; give an audible recording")
    return checked


def _brings_code(spec: EffectSpec) -> str:
    """What a stranger's file would have run that is not an installed plug-in; empty if it names one.

    Of the resolved address: a bare path or program has no backend in the file, and `ZamTube.vst3` may lie in this folder.
    """
    for part in spec.parts or (spec,):
        backend, _, locator = part.address.partition(":")
        if backend == "faust":
            return "a Faust program"
        path = locator_path(backend, locator)
        if path is not None and (re.search(r"[/\\]", path) or os.path.exists(path)):
            return "a plug-in by its path"
    return ""
