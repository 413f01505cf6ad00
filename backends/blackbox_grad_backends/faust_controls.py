"""The controls of a Faust program, as parameters: what the compiler knows of them and DawDreamer does not report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from blackbox_grad.parameters import Parameter

#: A slider with more levels than this is continuous.
MOST_LEVELS = 64


#: What a note sets in its voice. The compiler knows them by these names.
_OF_NOTES = ("freq", "key", "gain", "vel", "velocity", "gate")


@dataclass
class Control:
    """An element of the program's user interface. `kind`: Faust's name for it, such as `HorizontalSlider`."""

    kind: str
    label: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    default: float = 0.0
    minimum: float = 0.0
    maximum: float = 1.0
    step: float = 1.0

    @classmethod
    def plain(cls, description: Mapping[str, Any]) -> Control:
        """DawDreamer's own description of a control."""
        numbers = (float(description[key]) for key in ("value", "min", "max", "step"))
        return cls("HorizontalSlider", description["label"], {}, *numbers)


def describe(control: Control) -> Parameter | None:
    """None for a meter, and for a control that cannot move."""
    if "Bargraph" in control.kind or control.minimum >= control.maximum:
        return None
    metadata = {name: _read(text) for name, text in control.metadata.items()}
    control = replace(control, label=_read(control.label), metadata=metadata)
    if control.kind in ("Button", "CheckButton"):
        return Parameter(control.label, "toggle", default=control.default)
    low, high, unit = control.minimum, control.maximum, control.metadata.get("unit", "")
    parameter = Parameter(control.label, minimum=low, maximum=high, unit=unit)
    names = _level_names(control)
    levels = len(names) or (round((high - low) / control.step) + 1 if control.step >= 1.0 else 0)
    if 2 <= levels <= MOST_LEVELS:
        parameter = replace(parameter, kind="stepped", levels=levels, choices=names)
    elif control.metadata.get("scale") == "log" and low > 0.0:
        parameter = replace(parameter, scale="log")
    default = parameter.to_normalised(float(np.clip(control.default, low, high)))
    return replace(parameter, default=parameter.snap(min(1.0, max(0.0, default))))


def _level_names(control: Control) -> tuple[str, ...]:
    """Names from `menu{'a':0;'b':1}` if the values are the levels of a stepped parameter; otherwise nothing."""
    style = control.metadata.get("style", "")
    if not style.startswith(("menu", "radio")):
        return ()
    pairs = re.findall(r"'([^']*)'\s*:\s*(-?[\d.]+)", style)
    values = [float(value) for _, value in pairs]
    if len(values) < 2 or not np.allclose(values, np.linspace(control.minimum, control.maximum, len(values))):
        return ()
    return tuple(name for name, _ in pairs)


# DawDreamer sets no control whose label is not ASCII, even by its number.


def spelt(source: str) -> str:
    """The program in ASCII: "Größe" becomes "Gr__uf6____udf__e"."""
    return "".join(c if c.isascii() else f"__u{ord(c):x}__" for c in source)


def _read(label: str) -> str:
    """The text that `spelt` spelt."""
    return re.sub(r"__u([0-9a-f]{2,6})__", lambda found: chr(int(found[1], 16)), label)


# DawDreamer reports no units and no scales, and not which controls are meters. The C code from the compiler does: its function
# buildUserInterface has one call for each group, piece of metadata and control.
_CALL = re.compile(r"ui_interface->(\w+)\(ui_interface->uiInterface(.*)\);")
_ARGUMENT = re.compile(r',\s*("(?:[^"\\]|\\.)*"|[^,]+)')


def controls(source: str, folder: str | None, what: Literal["process", "effect"] = "process") -> dict[str, Control]:
    """Address of each control, as in DawDreamer's descriptions ("/dawdreamer/group/gain") -> the control.

    Args:
        source: of the program.
        folder: in which its files are, too.
        what: `effect`, which takes the sum of an instrument's voices, need not be there.
    """
    import dawdreamer
    from dawdreamer.faust import FaustContext, box

    libraries = str(Path(dawdreamer.__file__).parent / "faustlibraries")
    search = [option for path in (folder, libraries) if path for option in ("-I", path)]
    with FaustContext():
        if what == "effect":
            source = f"program = environment {{ {source}\n }}; process = program.effect;"
        try:
            program = box.boxFromDSP(f'import("stdfaust.lib");\n{source}', search)
        except RuntimeError:
            if what == "process":
                raise
            return {}
        code = str(box.boxToSource(program, "c", "Program"))
    found: dict[str, Control] = {}
    metadata: dict[str, str] = {}
    groups: list[str] = []
    for call, rest in _CALL.findall(code):
        arguments = [a.strip().strip('"') for a in _ARGUMENT.findall(rest)]
        if call.startswith("open"):
            groups.append(arguments[0])
            metadata = {}
        elif call == "closeBox":
            groups.pop()
        elif call == "declare":
            metadata[arguments[1]] = arguments[2]
        elif call.startswith("add") and len(arguments) >= 2:
            numbers = [float(a.replace("(FAUSTFLOAT)", "").rstrip("f")) for a in arguments[2:]]
            found[_address([*groups, arguments[0]])] = Control(call[3:], arguments[0], metadata, *numbers)
            metadata = {}
    return found


def is_instrument(found: Mapping[str, Control]) -> bool:
    """Whether these controls are those of a program that plays notes."""
    return any(address.endswith("/gate") for address in found)


def declared_voices(source: str) -> int:
    """What `declare options "[nvoices:8]"` says, at most 128; 0 without it."""
    found = re.search(r'\bdeclare\s+options\s+"[^"]*\[nvoices:(\d{1,4})\]', source)
    return min(128, int(found[1])) if found else 0


def is_of_notes(address: str) -> bool:
    """Whether notes set this control of an instrument."""
    return address.rpartition("/")[2] in _OF_NOTES


def of_voices(address: str) -> str:
    """As `controls` has it: DawDreamer puts an instrument's voices, and the effect behind them, in groups of their own."""
    return re.sub(r"^(/Sequencer/DSP\d+)?(/Polyphonic/Voices)?", "", address)


def _address(labels: list[str]) -> str:
    """In the compiler's notation: without unnamed groups (`0x00`), underscores for special characters."""
    return "".join("/" + re.sub(r"[ #*,/?\[\]{}()]", "_", label) for label in labels if label != "0x00")
