"""The one list of effects of all backends: every test of a law that all effects have runs over it."""

from __future__ import annotations

import pytest

ZAM_VST3 = (
    "ZaMaximX2", "ZaMultiComp", "ZaMultiCompX2", "ZamAutoSat", "ZamComp", "ZamCompX2", "ZamDelay", "ZamDynamicEQ", "ZamEQ2",
    "ZamGEQ31", "ZamGate", "ZamGateX2", "ZamGrains", "ZamHeadX2", "ZamPhono", "ZamTube",
)  # fmt: skip  # and ZamVerb, which takes half a minute

PEDALBOARD_BUILTIN = (
    "Bitcrush", "BrickwallLimiter", "Chorus", "Clipping", "Compressor", "Delay", "Distortion", "GSMFullRateCompressor", "Gain",
    "HighShelfFilter", "HighpassFilter", "Invert", "LadderFilter", "Limiter", "LowShelfFilter", "LowpassFilter",
    "MP3Compressor", "NoiseGate", "PeakFilter", "Phaser", "PitchShift", "Resample", "Reverb",
)  # fmt: skip

#: Addresses of effects that need nothing but the Python packages.
SELF_CONTAINED = (
    "reference:gain",
    "reference:soft-clip",
    "reference:biquad",
    "reference:delay",
    *(f"pedalboard-builtin:{name}" for name in PEDALBOARD_BUILTIN),
    "pedalboard-builtin:Distortion | pedalboard-builtin:Delay | reference:gain",
)

#: Addresses of effects from Debian's packages mda-lv2 and zam-plugins.
FROM_DEBIAN = (
    *(f"pedalboard:{name}.vst3" for name in ZAM_VST3),
    "pedalboard:ZamTube.vst3 | pedalboard-builtin:Reverb",
)

#: For `pytest.mark.parametrize("address", EFFECTS_UNDER_TEST)`.
EFFECTS_UNDER_TEST = [
    *SELF_CONTAINED,
    *(pytest.param(address, marks=pytest.mark.plugins) for address in FROM_DEBIAN),
]
