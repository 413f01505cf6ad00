"""Controls of a plug-in's window: what its analyser shows, colours, zoom, the open page. They change no sound, and are held."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from blackbox_grad.parameters import Parameter

#: Names that mean a display wherever they occur.
_SHOWN = re.compile(
    r"\bhue\b|\bvisib(le|ility)\b|\bgonio\b|\bdisplay\b|^current view\b|^view mode\b|^g?ui\b|\bpeak hold\b|^screen\b"
    r"|\b(is shown|tooltips?)\b|^show\b|^inspect\b|\binspect(ion)?( \d+)?$|^analy[sz]er\b"
    r"|^fft (analysis|reactivity|shift gain|visibility|tolerance|envelope|window)\b"
    r"|\bfft (graph|analysis)\b|\bgraph (analysis|enable|visibility|zoom)\b",
    re.IGNORECASE,
)

#: Names that mean a display in a plug-in that has one of those above. Elsewhere "Filter select" may choose the filter, and the
#: "Zoom" of mda's Dither is heard.
_SHOWN_BESIDE = re.compile(
    r"^zoom$|^shift gain( \d+)?$|^reactivity$|^(area|band|capture|channel|delay line|filter|processor) select(ion|or)?$"
    r"|^individual filters$",
    re.IGNORECASE,
)


def hold_window_controls(parameters: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """The same parameters; those of the window are free only where they are named."""
    found = tuple(parameters)
    shown = {p.name for p in found if _SHOWN.search(p.name.strip())}
    if shown:
        shown |= {p.name for p in found if _SHOWN_BESIDE.search(p.name.strip())}
    return tuple(replace(p, trainable=False) if p.name in shown else p for p in found)
