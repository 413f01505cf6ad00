"""The one list of effects of all backends. Every test of a law of effects runs over it."""

from __future__ import annotations

import pytest

from blackbox_grad.effects import backend

ZAM_VST3 = (
    "ZaMaximX2", "ZaMultiComp", "ZaMultiCompX2", "ZamAutoSat", "ZamComp", "ZamCompX2", "ZamDelay", "ZamDynamicEQ", "ZamEQ2",
    "ZamGEQ31", "ZamGate", "ZamGateX2", "ZamGrains", "ZamHeadX2", "ZamPhono", "ZamTube",
)  # fmt: skip  # and ZamVerb, which takes half a minute

MDA_LV2 = (
    "Ambience", "Bandisto", "BeatBox", "Combo", "DeEss", "Degrade", "Delay", "Detune", "Dither", "DubDelay", "Dynamics", "Image",
    "Leslie", "Limiter", "Loudness", "MultiBand", "Overdrive", "RePsycho", "RezFilter", "RingMod", "RoundPan", "Shepard",
    "Splitter", "Stereo", "SubSynth", "TalkBox", "TestTone", "ThruZero", "Tracker", "Transient", "VocInput", "Vocoder",
)  # fmt: skip

#: In DawDreamer: effects that leaked state, have a side chain or report latency, and one of each other format.
ZAM_IN_DAWDREAMER = (
    "urn:zamaudio:ZaMaximX2", "urn:zamaudio:ZamComp", "urn:zamaudio:ZamCompX2", "urn:zamaudio:ZamDelay",
    "urn:zamaudio:ZamDynamicEQ", "urn:zamaudio:ZamGrains", "urn:zamaudio:ZamHeadX2", "urn:zamaudio:ZamTube",
    "ZamDelay-vst.so", "ZamEQ2-vst.so", "ZamComp.vst3", "ZamHeadX2.vst3",
)  # fmt: skip

#: Addresses of effects that need nothing but the Python packages: all that the backends list, and what they compile or chain.
SELF_CONTAINED = (
    *(f"{name}:{locator}" for name in ("reference", "pedalboard-builtin") for locator in sorted(backend(name).scan())),
    'faust:process = *(hslider("gain", 0.5, 0, 1, 0.01));',
    "pedalboard-builtin:Distortion | pedalboard-builtin:Delay | reference:gain",
)

#: Addresses of effects from Debian's packages mda-lv2 and zam-plugins.
FROM_DEBIAN = (
    *(f"pedalboard:{name}.vst3" for name in ZAM_VST3),
    *(f"dawdreamer:http://drobilla.net/plugins/mda/{name}" for name in MDA_LV2),
    *(f"dawdreamer:{name}" for name in ZAM_IN_DAWDREAMER),
    "pedalboard:ZamTube.vst3 | pedalboard-builtin:Reverb",
    "pedalboard-builtin:Distortion | dawdreamer:http://drobilla.net/plugins/mda/Delay",
)

#: Of those, one or two of each host and format, and a chain: the others are marked slow.
QUICK = {
    "pedalboard:ZamTube.vst3", "pedalboard:ZamComp.vst3", "dawdreamer:http://drobilla.net/plugins/mda/Overdrive",
    "dawdreamer:http://drobilla.net/plugins/mda/RezFilter", "dawdreamer:urn:zamaudio:ZamDelay", "dawdreamer:ZamDelay-vst.so",
    "dawdreamer:ZamComp.vst3", "pedalboard-builtin:Distortion | dawdreamer:http://drobilla.net/plugins/mda/Delay",
}  # fmt: skip

#: For `pytest.mark.parametrize("address", EFFECTS_UNDER_TEST)`.
EFFECTS_UNDER_TEST = [
    *SELF_CONTAINED,
    *(
        pytest.param(address, marks=[pytest.mark.plugins] + [pytest.mark.slow] * (address not in QUICK))
        for address in FROM_DEBIAN
    ),
]
assert set(FROM_DEBIAN) >= QUICK
