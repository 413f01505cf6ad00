"""Presets written for other programs: which file an effect's preset can be, checked before the work, and written whole."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from blackbox_grad.effects.addresses import backend, end_of
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import AudioError, EffectLoadError
from blackbox_grad.files import check_folder, check_writable, replacing

#: Of presets that are a folder.
_FOLDERS = (".lv2",)

_KEEP = "--parameters FILE (Match.to_json) keeps the settings"


def preset_suffixes(spec: EffectSpec) -> tuple[str, ...]:
    """What a preset of the effect may be: ".vstpreset", ".fxp" or ".fxb", ".lv2", ".py"; empty for none, and for a chain."""
    if spec.parts:
        return ()
    name, _, locator = spec.address.partition(":")
    suffixes = getattr(backend(name), "preset_suffixes", None)
    return () if suffixes is None else tuple(suffixes(locator))


def preset_names(spec: EffectSpec) -> tuple[str, ...]:
    """Names of the presets in the folder of a chain, one for each part: "1 ZamTube.vstpreset", "2 Reverb.py"."""
    names = []
    for number, part in enumerate(spec.parts, 1):
        _refuse_moving(part)
        suffixes = preset_suffixes(part)
        if not suffixes:
            raise EffectLoadError(f"{part.address} has no format of presets, so the chain has no preset; {_KEEP}")
        short = re.sub(r"[^\w.-]+", " ", end_of(part.address.partition(":")[2])).strip()
        names.append(f"{number} {short or 'effect'}{suffixes[0]}")
    return tuple(names)


def check_preset_path(spec: EffectSpec, path: str | os.PathLike[str]) -> None:
    """Raise unless a preset of the effect can be written there. Call it before the work. It opens nothing.

    Raises:
        EffectLoadError: the effect has no presets, or its settings move.
        AudioError: its presets have another suffix, or there can be no such file or folder.
    """
    path = Path(path)
    _refuse_moving(spec)
    if spec.parts:
        names = preset_names(spec)
        if path.suffix.lower() in (".vstpreset", ".fxp", ".fxb", ".lv2", ".py"):
            raise AudioError(
                f"{path}: a chain has a preset for each part; name a folder, {path.with_suffix('')}: it gets {', '.join(names)}"
            )
        _check_folder(path, names)
        return
    suffixes = preset_suffixes(spec)
    if not suffixes:
        raise EffectLoadError(f"{spec.address} has no format of presets; {_KEEP}")
    if path.suffix.lower() not in suffixes:
        raise AudioError(
            f"{path}: a preset of {spec.address} is {' or '.join(suffixes)}, not {path.suffix or 'without a suffix'}"
        )
    if path.suffix.lower() in _FOLDERS:
        _check_folder(path, ("manifest.ttl", "preset.ttl"))
    else:
        check_writable(path, suffixes)


def _refuse_moving(spec: EffectSpec) -> None:
    if spec.curves is not None:
        raise EffectLoadError(
            f"{spec.address}: a preset holds settings that stay, and these move; `match --curves FILE` keeps them"
        )


def _check_folder(path: Path, names: tuple[str, ...]) -> None:
    check_folder(path)
    if path.is_dir() and (others := sorted({entry.name for entry in path.iterdir()} - set(names))):
        raise AudioError(f"{path}: the folder holds other things, such as {others[0]}, and would be replaced; name another")


def write_preset(path: str | os.PathLike[str], files: Mapping[str, bytes]) -> None:
    """Write a preset: the file itself, or a folder of files, which replaces one that is there. All of it or nothing."""
    path = Path(path)
    if set(files) == {""}:
        with replacing(path) as temporary:
            temporary.write_bytes(files[""])
        return
    target = Path(os.path.realpath(path))
    new, old = (target.with_name(f".{target.name[:50]}.{secrets.token_hex(4)}.{end}") for end in ("part", "old"))
    try:
        for name, content in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)
        with contextlib.suppress(FileNotFoundError):
            target.rename(old)
        new.rename(target)
    except OSError as error:
        if old.exists() and not target.exists():
            old.rename(target)
        raise AudioError(
            f"{path}: cannot be written ({error.strerror or error}); make room there, or choose another"
        ) from error
    finally:
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)
