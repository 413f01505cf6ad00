"""Pedalboard's own effects: Reverb, Compressor, Chorus, …

The library states no ranges (a compressor accepts an attack of -1 ms and refuses a ratio of 0.5), so this module does: the values
that a musician would set, inside what the library accepts at the sample rate in use. Defaults are the library's.
Locators are class names, in any case: `Reverb`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from blackbox_grad.effects import ANY, Audio, Moves, PluginEffect
from blackbox_grad.errors import EffectLoadError, EffectNotFoundError, RenderError, suggest
from blackbox_grad.parameters import FloatArray, Parameter, ParameterSpace
from blackbox_grad_backends.native.graveyard import undisturbed
from blackbox_grad_backends.options import check_options
from blackbox_grad_backends.pedalboard_blocks import CURVE_BLOCK, in_blocks, latency
from blackbox_grad_backends.pedalboard_saving import snippet

#: Highest corner frequency, as a fraction of the sample rate: filters degenerate at Nyquist (0.5).
HIGHEST = 0.45

#: Samples per block; larger blocks are not faster.
BUFFER_SIZE = 8192

#: Shorter audio is padded to this: in an array of shape (2, 2), Pedalboard cannot distinguish channels from samples.
SHORTEST = 64

#: The sample rates of MPEG-1 layer III; Pedalboard refuses the others.
_MP3_RATES = (32000.0, 44100.0, 48000.0)

_LADDER_MODES = ("LPF12", "HPF12", "BPF12", "LPF24", "HPF24", "BPF24")
_RESAMPLING = (
    "ZeroOrderHold", "Linear", "CatmullRom", "Lagrange", "WindowedSinc", "WindowedSinc256", "WindowedSinc128",
    "WindowedSinc64", "WindowedSinc32", "WindowedSinc16", "WindowedSinc8",
)  # fmt: skip

#: The most channels that an effect processes together; more go in groups of that many. (Given six channels, Reverb returned them as
#: they came, without an error, and MP3Compressor raises one.)
_WIDEST = {"MP3Compressor": 2, "Reverb": 2}

#: Those that sound different, or return less, if their audio comes in blocks: their settings do not move.
_WHOLE_ONLY = ("GSMFullRateCompressor", "PitchShift")

#: Those that have latency.
_LATE = ("BrickwallLimiter", "MP3Compressor", "Resample")

Row: TypeAlias = "tuple[Parameter, ...]"


def _level(name: str, low: float, high: float) -> Parameter:
    return Parameter(name, minimum=low, maximum=high, unit="dB")


def _log(name: str, low: float, high: float, unit: str) -> Parameter:
    return Parameter(name, minimum=low, maximum=high, unit=unit, scale="log")


def _linear(name: str, low: float = 0.0, high: float = 1.0, unit: str = "") -> Parameter:
    return Parameter(name, minimum=low, maximum=high, unit=unit)


def _choice(name: str, choices: tuple[str, ...]) -> Parameter:
    return Parameter(name, "stepped", levels=len(choices), maximum=len(choices) - 1.0, choices=choices)


def _frequency(name: str = "cutoff_frequency_hz", low: float = 20.0, high: float = 20000.0) -> Parameter:
    return _log(name, low, high, "Hz")


_ATTACK, _RELEASE = _log("attack_ms", 0.1, 200.0, "ms"), _log("release_ms", 5.0, 2000.0, "ms")
_RATE, _FEEDBACK, _MIX = _log("rate_hz", 0.05, 20.0, "Hz"), _linear("feedback", -0.95, 0.95), _linear("mix")
_BAND = (_frequency(), _level("gain_db", -24.0, 24.0), _log("q", 0.1, 10.0, ""))

#: Class name -> its parameters, named like the arguments of its constructor. Their defaults come from the library.
EFFECTS: dict[str, Row] = {
    "Bitcrush": (_linear("bit_depth", 1.0, 16.0, "bits"),),
    "BrickwallLimiter": (
        _level("ceiling_db", -30.0, 0.0),
        _RELEASE,
        _log("lookahead_ms", 0.5, 20.0, "ms"),
        Parameter("true_peak", "toggle"),
    ),
    "Chorus": (_RATE, _linear("depth"), _log("centre_delay_ms", 1.0, 50.0, "ms"), _FEEDBACK, _MIX),
    "Clipping": (_level("threshold_db", -60.0, 0.0),),
    "Compressor": (_level("threshold_db", -60.0, 0.0), _log("ratio", 1.0, 20.0, ""), _ATTACK, _RELEASE),
    "Delay": (_log("delay_seconds", 0.001, 2.0, "s"), _linear("feedback", 0.0, 0.95), _MIX),
    "Distortion": (_level("drive_db", 0.0, 60.0),),
    "GSMFullRateCompressor": (_choice("quality", _RESAMPLING),),
    "Gain": (_level("gain_db", -60.0, 24.0),),
    "HighShelfFilter": _BAND,
    "HighpassFilter": (_frequency(),),
    "Invert": (),
    "LadderFilter": (
        _choice("mode", _LADDER_MODES),
        _frequency("cutoff_hz"),
        _linear("resonance"),
        _log("drive", 1.0, 30.0, ""),
    ),
    "Limiter": (_level("threshold_db", -60.0, 0.0), _RELEASE),
    "LowShelfFilter": _BAND,
    "LowpassFilter": (_frequency(),),
    "MP3Compressor": (_linear("vbr_quality", 0.0, 9.5),),
    "NoiseGate": (_level("threshold_db", -100.0, 0.0), _log("ratio", 1.0, 20.0, ""), _ATTACK, _RELEASE),
    "PeakFilter": _BAND,
    "Phaser": (_RATE, _linear("depth"), _frequency("centre_frequency_hz", 50.0, 16000.0), _FEEDBACK, _MIX),
    "PitchShift": (_linear("semitones", -12.0, 12.0, "st"),),
    "Resample": (_log("target_sample_rate", 1000.0, 48000.0, "Hz"), _choice("quality", _RESAMPLING)),
    "Reverb": (
        _linear("room_size"),
        _linear("damping"),
        _linear("wet_level"),
        _linear("dry_level"),
        _linear("width"),
        Parameter("freeze_mode", "toggle"),
    ),
}


class PedalboardBuiltinBackend:
    """Opens Pedalboard's own effects by class name."""

    #: The distribution that the effects come with.
    library = "pedalboard"

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> PedalboardBuiltinEffect:
        import pedalboard

        known = {name.lower(): name for name in EFFECTS if hasattr(pedalboard, name)}
        name = known.get(locator.strip().lower())
        if name is None:
            raise EffectNotFoundError(
                f"pedalboard-builtin:{locator}: Pedalboard has no such effect; "
                f"{suggest(locator.strip(), sorted(known.values()))}"
            )
        check_options(f"pedalboard-builtin:{name}", options)
        if name == "MP3Compressor" and sample_rate not in _MP3_RATES:
            rates = ", ".join(f"{rate:g}" for rate in _MP3_RATES)
            raise EffectLoadError(f"pedalboard-builtin:{name} works at {rates} Hz, not at {sample_rate:g} Hz")
        return PedalboardBuiltinEffect(getattr(pedalboard, name), EFFECTS[name], sample_rate)

    def preset_suffixes(self, locator: str) -> tuple[str, ...]:
        return (".py",)

    def claims(self, locator: str) -> float:
        known = locator.strip().lower() in (name.lower() for name in EFFECTS)
        return 0.9 if known and importlib.util.find_spec("pedalboard") is not None else 0.0

    def scan(self) -> Iterator[str]:
        import pedalboard

        yield from (name for name in EFFECTS if hasattr(pedalboard, name))

    def catalogue(self) -> Iterator[tuple[str, str, str]]:
        """Locator, name and maker."""
        return ((name, name, "Pedalboard") for name in self.scan())


class PedalboardBuiltinEffect(PluginEffect):
    """One of Pedalboard's effects. It takes any number of channels, and Pedalboard itself takes latency out.

    Every render makes a new object, which costs some 0.02 ms: no LFO, tail or ramp remains from the last render.
    """

    def __init__(self, kind: Any, row: Row, sample_rate: float) -> None:
        self.name = kind.__name__
        self.sample_rate = float(sample_rate)
        self.inputs = self.outputs = ANY
        self.curve_block = 0 if self.name in _WHOLE_ONLY else CURVE_BLOCK
        self._kind = kind
        example = kind()
        self.parameters = ParameterSpace(_at_rate(p, getattr(example, p.name), self.sample_rate) for p in row)
        #: For a parameter with choices: the library's own object for each level.
        self._levels = {
            p.name: [getattr(type(getattr(example, p.name)), choice) for choice in p.choices] for p in row if p.choices
        }

    def process(self, audio: Audio, values: FloatArray) -> Audio:
        """`audio: [C, N]` with any C."""
        return self._process(audio, values, None)

    def process_curves(self, audio: Audio, values: FloatArray, moves: Moves) -> Audio:
        return self._process(audio, values, moves)

    def _process(self, audio: Audio, values: FloatArray, moves: Moves | None) -> Audio:
        if self._kind is None:
            raise RenderError(f"{self.name} has been closed; open it again to render")
        channels, length = audio.shape
        widest = _WIDEST.get(self.name) or channels
        if channels > widest:
            return np.concatenate([self._process(audio[c : c + widest], values, moves) for c in range(0, channels, widest)])
        padded = np.pad(audio, ((0, 0), (0, SHORTEST - length))) if length < SHORTEST else audio
        effect = self._kind(**self.arguments(values))
        with undisturbed():  # a thread that is inside when the process ends would abort it
            if moves is None:
                result: Audio = effect.process(padded, self.sample_rate, buffer_size=BUFFER_SIZE)
            else:
                result = self._moved(effect, padded, values, moves)
        return result if length >= SHORTEST else np.ascontiguousarray(result[:, :length])

    def _moved(self, effect: Any, audio: Audio, values: FloatArray, moves: Moves) -> Audio:
        controls = [self.parameters.everything[position] for position in moves.positions]

        def change(control: int, value: float) -> None:
            parameter = controls[control]
            setattr(effect, parameter.name, self._native(parameter, value))

        late = 0
        if self.name in _LATE:
            late = latency(self._continued(self._kind(**self.arguments(values))), len(audio))
        run, padded = self._continued(effect), np.pad(audio, ((0, 0), (0, late))) if late else audio
        return in_blocks(lambda start, end: run(padded[:, start:end]), change, audio.shape[1], moves, late)

    def _continued(self, effect: Any) -> Callable[[Audio], Audio]:
        """Not in buffers of `BUFFER_SIZE`: one that is longer than those before it makes Pedalboard reset the effect."""

        def run(audio: Audio) -> Audio:
            result: Audio = effect.process(audio, self.sample_rate, buffer_size=CURVE_BLOCK, reset=False)
            return result

        return run

    def preset_files(self, suffix: str, name: str, values: FloatArray) -> dict[str, bytes]:
        return {"": snippet(self.name, self.arguments(values))}

    def arguments(self, values: FloatArray) -> dict[str, Any]:
        """Arguments for the library's constructor at a point of the box."""
        return {p.name: self._native(p, v) for p, v in zip(self.parameters.everything, values.tolist(), strict=True)}

    def _native(self, parameter: Parameter, value: float) -> Any:
        choices = parameter.choices
        return self._levels[parameter.name][round(value * (len(choices) - 1))] if choices else parameter.to_native(value)

    def close(self) -> None:
        self._kind = None


def _at_rate(parameter: Parameter, default: Any, sample_rate: float) -> Parameter:
    """The parameter with the library's default, and with frequencies that exist at this sample rate."""
    if parameter.choices:
        return replace(parameter, default=parameter.choices.index(default.name) / (len(parameter.choices) - 1))
    if parameter.name == "target_sample_rate":
        parameter = replace(parameter, maximum=sample_rate)
    elif parameter.unit == "Hz":
        parameter = replace(parameter, maximum=min(parameter.maximum, HIGHEST * sample_rate))
    low, high = sorted((parameter.minimum, parameter.maximum))
    return replace(parameter, default=parameter.to_normalised(min(max(float(default), low), high)))
