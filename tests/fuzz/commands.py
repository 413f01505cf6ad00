"""Command lines to break: each one draws its files and arguments from a generator, in a folder of its own.

They run in the process that calls them, with effects that are rendered there, so that hundreds of them take seconds.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import material
import numpy as np
import soundfile

Command = list[str]

HERE = ("--host", "in-process")

FORMATS = (
    ("WAV", "PCM_16"), ("WAVEX", "FLOAT"), ("RF64", "FLOAT"), ("W64", "PCM_24"), ("AIFF", "PCM_16"), ("AU", "PCM_16"),
    ("CAF", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"), ("SVX", "PCM_16"), ("NIST", "PCM_16"),
)  # fmt: skip


_MATCH_OPTIONS = (
    "--loss", "--estimator", "--only", "--set", "--renders", "--excerpt", "--seed", "--probes", "-o", "--report", "--parameters",
)  # fmt: skip


def _audio() -> np.ndarray[Any, Any]:
    return (0.1 * np.random.default_rng(0).standard_normal((3000, 1))).astype(np.float32)


@functools.cache
def _file(kind: str, subtype: str) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, _audio(), 44100, format=kind, subtype=subtype)
    return content.getvalue()


def _written(folder: Path, name: str, content: bytes | str) -> str:
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    (folder / name).write_bytes(raw)
    return str(folder / name)


def _dry(folder: Path) -> str:
    return _written(folder, "dry.wav", _file("WAV", "PCM_16"))


def audio_header(rng: Random, folder: Path) -> Command:
    """A recording with a damaged header."""
    source = _written(folder, "in.audio", material.damaged(rng, _file(*rng.choice(FORMATS))))
    return ["render", "reference:gain", source, str(folder / f"out{rng.choice(('.wav', '.flac', '.ogg'))}"), *HERE]


def settings_file(rng: Random, folder: Path) -> Command:
    """A damaged file of settings."""
    whole = {
        "parameters": [{"name": name, "normalised": 0.3, "native": "x"} for name in ("Time", "Feedback", "Mix")],
        "loss": 1.0,
    }
    settings = _written(folder, "settings.json", material.damaged_json(rng, whole))
    return ["render", "reference:delay", _dry(folder), str(folder / "out.wav"), "--parameters", settings, *HERE]


def render_arguments(rng: Random, folder: Path) -> Command:
    """Odd values of `--set` and `--option`, odd names of files, addresses and hosts."""
    name, value = rng.choice(("Time", "Mix", "mix", material.text(rng))), material.text(rng)
    odd = rng.choice(("set", "set", "option", "output", "input", "address", "host", "parameters"))
    address = "reference:delay" if odd != "address" else _address(rng)
    source = _dry(folder) if odd != "input" else _path(rng, folder)
    output = (
        str(folder / "out.wav") if odd != "output" else _path(rng, folder) + rng.choice(("", ".wav", ".flac", ".ogg", ".raw"))
    )
    command = ["render", address, source, output]
    if odd == "set":
        command += ["--set", rng.choice((f"{name}={value}", f"{name}{value}"))]
    if odd == "option":
        command += ["--option", f"{name}={value}"]
    if odd == "parameters":
        command += ["--parameters", _path(rng, folder)]
    return command + (["--host", material.text(rng)] if odd == "host" else list(HERE))


def match_arguments(rng: Random, folder: Path) -> Command:
    """Odd losses, estimators, searches and outputs."""
    dry = _dry(folder)
    command = ["match", "reference:gain", dry, dry, *HERE]
    option = rng.choice(_MATCH_OPTIONS)
    value = rng.choice((material.text(rng), "mrstft:" + material.text(rng), "spsa:" + material.text(rng), _path(rng, folder)))
    return [*command, *(["--renders", "8"] if option != "--renders" else []), option, value]


def inspect_arguments(rng: Random, folder: Path) -> Command:
    """Odd addresses, rates and limits."""
    option = rng.choice(("--sample-rate", "--option", "--preset", "--report", "--host"))
    return ["inspect", _address(rng), *rng.choice(((option, material.text(rng)), ("--json",)))]


def results_table(rng: Random, folder: Path) -> Command:
    """A damaged table of an evaluation."""
    from blackbox_grad_adapters.style_matching.evaluation.results import COLUMNS

    made = io.StringIO()
    writer = csv.DictWriter(made, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for index in range(3):
        for method in ("dry", "controller"):
            row = dict.fromkeys(COLUMNS, "0.5")
            row |= {
                "effect": "reference:gain",
                "kind": "music",
                "index": str(index),
                "clean": "0",
                "method": method,
                "settings": "{}",
            }
            writer.writerow(row)
    _written(folder, "gain-music.csv", material.damaged_table(rng, made.getvalue()))
    page = ["--page", str(folder / "page.md")] if rng.random() < 0.5 else ["--json"]
    return ["style", "evaluate", "--examples", "0", "-o", str(folder), *page]


def answers_file(rng: Random, folder: Path) -> Command:
    """A damaged file of answers to a listening test."""
    design, systems = rng.choice(
        (("mushra", ["reference", "mine", "anchor70"]), ("ab", ["mine", "dry"]), ("abx", ["mine", "dry"]))
    )
    trials = [{"id": str(i), "item": "guitar", "effect": "Delay", "kind": "", "systems": systems} for i in range(3)]
    given: dict[str, Any] = {"ratings": dict.fromkeys(systems, 95)}
    if design != "mushra":
        given = {"first": systems[0], "choice": systems[1], "x": systems[1]}
    whole = {
        "listening test answers": 1,
        "test": {"format": 1, "id": "a", "title": "A test", "design": design, "trials": trials},
        "listener": "anna",
        "key": "b",
        "answers": [{"trial": str(i), "seconds": 2.5, **given} for i in range(3)],
    }
    file = _written(folder, "answers.json", material.damaged_json(rng, whole))
    shown = ["--figure", str(folder / "figure.png")] if rng.random() < 0.1 else ["--json"]
    return ["style", "listen", "results", file, *shown]


def weights_file(rng: Random, folder: Path) -> Command:
    """Damaged weights of a controller: its bytes, or its header."""
    from blackbox_grad_adapters.style_matching.networks import shipped

    content = shipped.file_of("pedalboard-builtin:Distortion").read_bytes()
    if rng.random() < 0.3:
        content = material.damaged(rng, content)
    else:
        size = struct.unpack("<Q", content[:8])[0]
        outer = json.loads(content[8 : 8 + size])
        (field,) = (name for name in outer["__metadata__"] if "style" in name)
        outer["__metadata__"][field] = material.damaged_json(rng, json.loads(outer["__metadata__"][field]))
        header = json.dumps(outer).encode()
        content = struct.pack("<Q", len(header)) + header + content[8 + size :]
    model = _written(folder, "controller.safetensors", content)
    dry = _dry(folder)
    return ["style", "match", "--model", model, "--input", dry, "--reference", dry, *HERE]


def _address(rng: Random) -> str:
    known = (
        "reference:gain",
        "gain",
        "reference",
        "faust:",
        "Reverb",
        "reference:gain | reference:delay",
        "http://x/y",
        "x.dsp",
    )
    odd = rng.choice(
        (material.text(rng), f"{rng.choice(known)}{material.text(rng)}", f"{material.text(rng)}:{material.text(rng)}")
    )
    # a backend that is named opens plug-ins, which takes longer than all the rest
    return f"reference:{odd}" if odd.lower().endswith((".vst3", ".so")) else odd


def _path(rng: Random, folder: Path) -> str:
    name = material.text(rng)
    if name.startswith("/proc"):
        return name
    return str(folder / name.replace("/", "∕")) if rng.random() < 0.7 or not name.startswith("/dev") else name


COMMANDS: dict[str, Callable[[Random, Path], Command]] = {
    command.__name__: command
    for command in (
        audio_header,
        settings_file,
        render_arguments,
        match_arguments,
        inspect_arguments,
        results_table,
        answers_file,
        weights_file,
    )
}


def prepared(name: str, seed: int, folder: Path) -> Command:
    """The command line of this kind and seed, whose files are in the folder."""
    os.chdir(folder)  # a name without a folder is written here
    return COMMANDS[name](Random(f"{name} {seed}"), folder)
