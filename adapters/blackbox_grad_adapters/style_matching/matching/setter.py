"""What all ways to match styles share: recordings at the effect's rate, and the result at the recording's own."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox_grad import EffectSpec
from blackbox_grad.audio_files import resample
from blackbox_grad.effects import Audio, check_audio
from blackbox_grad.errors import AudioError, ParameterError
from blackbox_grad.inspection import SoundPath, find_neutral
from blackbox_grad.parameters import carried
from blackbox_grad_adapters.style_matching.data.excerpts import loudest
from blackbox_grad_adapters.style_matching.effect_path import PEAK, EffectPath, normalise
from blackbox_grad_adapters.style_matching.matching.band import Band
from blackbox_grad_adapters.style_matching.matching.level import Level, output_gain
from blackbox_grad_adapters.style_matching.matching.result import StyleMatch
from blackbox_grad_adapters.style_matching.measures.spectral import multi_resolution_stft
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder

#: A peak below this, -100 dBFS, is silence.
_SILENCE = 1e-5

#: Seconds of audio for the comparison of sample rates.
_COMPARED = 5.0

#: An effect sounds different at another sample rate if its output differs by this part of the difference between dry and wet.
_OTHER = 0.5


class StyleSetter:
    """An effect at the sample rate of an encoder, and the same effect at the rates of recordings.

    Attributes:
        encoder: what hears the recordings.
        path: the effect at its sample rate.

    Raises:
        AudioError: it is an instrument.
    """

    def __init__(self, encoder: Encoder, path: EffectPath) -> None:
        if path.effect.info.takes == "notes":
            raise AudioError(
                f"{path.spec.address} is an instrument, which plays notes; style matching sets effects, which change audio; "
                "blackbox-grad match finds the patch of a sound"
            )
        self.encoder, self.path = encoder, path

    def heard(self, audio: Audio, rate: float) -> Tensor:
        """A recording `[C, T]` at the encoder's sample rate: `[1, C, T]`."""
        return torch.from_numpy(self._resampled(audio, rate))[None]

    def finished(
        self,
        audio: Audio,
        dry: Tensor,
        reference: Tensor,
        p: Tensor,
        rate: float,
        renders: int,
        amount: float,
        level: Level = "loudness",
        band: Band | None = None,
    ) -> StyleMatch:
        """The whole recording at settings `p: [1, P]` of the path, or at so much of them.

        Args:
            audio: `[C, T]`, at `rate` (Hz).
            dry, reference: `[1, C, T]`, what the encoder heard.
            level: of the result.
            band: what both share; all by default.
        """
        if amount != 1.0:
            p = torch.from_numpy(self.way(p, dry).at(amount)).to(p)[None]
        with torch.no_grad():
            goal = self.encoder.traits(reference)
            heard = (self.path(dry, p) if band is None else band(self.path(dry, p))), self.path.dry(dry)
            distances = [float((self.encoder.traits(a) - goal).square().mean().sqrt()) for a in heard]
        there = self._at(rate)
        moved = self._carried(p, there)
        if there is not self.path:
            self._compare(there, torch.from_numpy(audio), moved, p)
        y = self._render(audio, there, moved)
        gain, quieter = output_gain(y, audio, rate, level)
        return StyleMatch(
            y=y * np.float32(10.0 ** (gain / 20.0)),
            p=moved[0].double().numpy(),
            sample_rate=float(rate),
            info=there.effect.info,
            gain=20.0 * float(np.log10(PEAK / np.abs(audio).max())),
            renders=renders,
            distance=distances[0],
            distance_before=distances[1],
            amount=amount,
            output_gain=gain,
            quieter=quieter,
            level=level,
        )

    def unchanged(
        self, audio: Audio, dry: Tensor, reference: Tensor, p: Tensor, rate: float, renders: int, level: Level = "loudness"
    ) -> StyleMatch:
        """The input itself as the result, with the neutral settings that are nearest to `p: [1, P]`; else as `finished`."""
        there = self._at(rate)
        try:
            start = self._carried(p, there)[0].double().numpy()
        except ParameterError:  # a frequency that this rate does not have
            start = there.effect.parameter_space.defaults
        with torch.no_grad():
            away = self.encoder.traits(self.path.dry(dry)) - self.encoder.traits(reference)
        distance = float(away.square().mean().sqrt())
        return StyleMatch(
            y=audio,
            p=find_neutral(there.effect.host, there.effect.info, start).point,
            sample_rate=float(rate),
            info=there.effect.info,
            gain=0.0,
            renders=renders,
            distance=distance,
            distance_before=distance,
            bypassed=True,
            level=level,
        )

    def fits(self, p: Tensor, rate: float) -> bool:
        """Whether the settings `p: [1, P]` exist at another sample rate (Hz)."""
        try:
            self._carried(p, self._at(rate))
        except ParameterError:
            return False
        return True

    def _resampled(self, audio: Audio, rate: float) -> Audio:
        return audio if rate == self.encoder.sample_rate else resample(audio, rate, self.encoder.sample_rate)

    def way(self, p: Tensor, dry: Tensor) -> SoundPath:
        """From neutral settings to `p: [1, P]`, as it is heard with `dry: [1, C, T]` at the end of the path."""
        effect = self.path.effect
        liked = p[0].double().numpy()
        neutral = find_neutral(effect.host, effect.info, liked)
        return SoundPath(effect.host, effect.info, neutral.point, liked, normalise(dry)[0].numpy(), _at_the_same_peak)

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
                f"{path.spec.address} at {path.sample_rate:g} Hz: {error}; it is set at {self.path.sample_rate:g} Hz: "
                "give it audio at that rate"
            ) from error
        return torch.from_numpy(point).to(p)[None]

    def _render(self, audio: Audio, path: EffectPath, p: Tensor) -> Audio:
        """Render the whole recording at its own rate, that of `path`, as it leaves the effect."""
        with torch.no_grad():
            y: Audio = path.render(torch.from_numpy(audio)[None], p)[0].numpy()
        return y

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
                stacklevel=5,
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
