"""A file of settings: what `match` and `style match` write, and `render --parameters` reads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from blackbox_grad.cache import digest
from blackbox_grad.effects.addresses import backend, locator_path
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import BlackboxGradError, ParameterError
from blackbox_grad.files import text_of
from blackbox_grad.parameters.names import find_fixed, find_name
from blackbox_grad.parameters.travel import put_back, setting

#: Bytes of a plug-in's files, of which its version is made. Of larger ones, the version is not known.
_MOST_BYTES = 1 << 28


@dataclass(frozen=True)
class SavedSettings:
    """Settings of an effect, with their units.

    Attributes:
        rows: one for each parameter, as `blackbox_grad.parameters.travel.setting` makes them.
        source: the file, for messages; empty for none.
        effect: the address; empty if the file does not say it, as is the next.
        version: of the effect: its library's, or a digest of the plug-in's files.
        sample_rate: Hz, at which the settings were found; None if the file does not say it.
    """

    rows: tuple[Mapping[str, Any], ...]
    source: str = ""
    effect: str = ""
    version: str = ""
    sample_rate: float | None = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> SavedSettings:
        """From a file, of earlier versions too.

        Raises:
            AudioError: it cannot be read.
            ParameterError: it holds no settings.
        """
        try:
            return cls.of(json.loads(text_of(path)), os.fspath(path))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            if isinstance(error, BlackboxGradError):
                raise
            raise ParameterError(
                f"{os.fspath(path)} holds no settings; give a file that `blackbox-grad match --parameters` wrote"
            ) from error

    @classmethod
    def of(cls, found: Mapping[str, Any], source: str = "") -> SavedSettings:
        """From what `saved_settings` returned, or a file holds."""
        rate, address = found.get("sample_rate"), found.get("effect") or found.get("address") or ""
        rows = tuple({**row, "name": str(row["name"]), "normalised": float(row["normalised"])} for row in found["parameters"])
        return cls(rows, source, str(address), str(found.get("version") or ""), None if rate is None else float(rate))

    def fixed(self, info: EffectInfo, but: Mapping[str, float | str] | None = None) -> dict[str, float | str]:
        """Values for `EffectSpec.of(…, fixed=…)`, by name: the saved native values in the effect as it is opened now.

        Args:
            info: the effect, opened at any sample rate.
            but: settings of the caller, which take their places, by name in any spelling.

        Raises:
            ParameterError: the effect has no such parameter, or not in its range.
        """
        names = [p.name for p in info.parameters.everything]
        taken = {find_fixed(name, value, names)[0] for name, value in (but or {}).items()}
        found: dict[str, float | str] = {}
        for row in self.rows:
            name, known = row["name"], False
            try:
                i = find_name(name, names)
                known = True
                if i not in taken:
                    found[name] = put_back(row, info.parameters.everything[i])
            except ParameterError as error:
                raise ParameterError(
                    f"{info.spec.address} at {info.sample_rate:g} Hz: {error}{self._why(info, name, known)}"
                ) from error
            except (ValueError, TypeError, KeyError) as error:
                raise ParameterError(
                    f"{self.source or 'the settings'}: the row of {name!r} cannot be read ({error})"
                ) from error
        return found

    def _why(self, info: EffectInfo, name: str, known: bool) -> str:
        """Where the setting is from, and what to do."""
        causes = []
        if self.sample_rate not in (None, info.sample_rate):
            causes.append(f"found at {self.sample_rate:g} Hz")
        if self.version and self.version != version_of(info.spec):
            causes.append("found in another version of the effect")
        if self.effect and self.effect != info.spec.address:
            causes.append(f"found for {self.effect}")
        where = f"{self.source or 'the settings'}: " + (", ".join(causes) or "these are settings of another effect")
        if not known and " @ " in name:
            return f"; {self.source or 'this'} holds knots of settings that move; take match --curves FILE and render --curves FILE"
        if not known:
            return f" ({where}); take the settings of this effect, or leave the row out of the file"
        way_out = f"set it to a value in its range (--set '{name}=…')"
        if self.sample_rate not in (None, info.sample_rate):
            way_out += f", or give audio at {self.sample_rate:g} Hz"
        return f" ({where}); {way_out}"


def saved_settings(info: EffectInfo, point: ArrayLike = ()) -> dict[str, Any]:
    """What goes into a file of settings, as JSON: effect, name, version, sample_rate, and a row for each parameter.

    Args:
        info: the opened effect.
        point: `[P]` of its free parameters. The held ones are saved as they are.
    """
    space = info.parameters
    values = space.complete(point).tolist()
    return {
        "effect": info.spec.address,
        "name": info.name,
        "version": version_of(info.spec),
        "sample_rate": info.sample_rate,
        "parameters": [
            setting(parameter, value) | {"free": i in space.free}
            for i, (parameter, value) in enumerate(zip(space.everything, values, strict=True))
        ],
    }


def version_of(spec: EffectSpec) -> str:
    """The version of an effect: "pedalboard 0.9.26" of a library's own effect, or a digest of a plug-in's files.

    Empty if it is not known. The parts of a chain are joined by " | ".
    """
    return " | ".join(map(version_of, spec.parts)) if spec.parts else _version_of(spec.address)


def _version_of(address: str) -> str:
    name, _, locator = address.partition(":")
    try:
        opening = backend(name)
        find = getattr(opening, "file", None)
        path = Path(locator_path(name, locator) or "") if find is None else find(locator)
        if path is None or path == Path() or not path.exists():
            library = getattr(opening, "library", "")
            return f"{library} {version(library)}" if library else ""
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        if sum(file.stat().st_size for file in files) > _MOST_BYTES:
            return ""
        return digest(*(file.read_bytes() for file in files))
    except (OSError, BlackboxGradError, PackageNotFoundError):
        return ""
