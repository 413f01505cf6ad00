"""Inference: set an effect so that one recording sounds like another."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from blackbox_grad import EffectSpec, Host
from blackbox_grad.effects import locator_path
from blackbox_grad.errors import ParameterError
from blackbox_grad.interrupts import deferred_interrupts
from blackbox_grad.parameters import differing
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.matching.against import Against
from blackbox_grad_adapters.style_matching.matching.band import Band
from blackbox_grad_adapters.style_matching.matching.guard import taken_back
from blackbox_grad_adapters.style_matching.matching.level import Level
from blackbox_grad_adapters.style_matching.matching.refinement import refined
from blackbox_grad_adapters.style_matching.matching.result import StyleMatch
from blackbox_grad_adapters.style_matching.matching.setter import StyleSetter, audible
from blackbox_grad_adapters.style_matching.matching.switches import chosen, with_defaults, with_switches
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError


class StyleMatcher(StyleSetter):
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
        if effect is None and (what := brings_code(spec)):
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
    def load(
        cls,
        model: str | os.PathLike[str],
        host: str | Host | None = None,
        *,
        effect: str | None = None,
        force: bool = False,
    ) -> StyleMatcher:
        """From an effect with weights in the package (its address, or its end: "Overdrive"), a file of weights, or a run's folder.

        Args:
            effect: the address to open, if the plug-in is not at the address of the training.
            force: take weights whose training says that it has learnt nothing.

        Raises:
            WeightsError: there are no such weights, they are damaged, they are for parameters that the effect does not have, or
                their training has learnt nothing.
            EffectNotFoundError: the effect is not installed.
        """
        controller, encoder = shipped.controller(model)
        results = controller.header.get("results", {})
        if not force and (said := shipped.nothing_learnt(results if isinstance(results, dict) else {})):
            raise WeightsError(
                f"{os.fspath(model)}: {said}; train with more pairs or other recordings (blackbox-grad style train --pairs N "
                "--recordings FOLDER), search without it (--effect and --renders 300), or take it as it is: --force, or "
                "StyleMatcher.load(…, force=True)"
            )
        return cls(controller, encoder, host, None if effect is None else shipped.address_of(effect))

    def predict(self, x: Tensor, reference: Tensor) -> Tensor:
        """Settings `[B, P]` with which `x: [B, C, T]` sounds like `reference: [B, C, T']`, both at the encoder's sample rate."""
        with torch.no_grad():
            p: Tensor = self.controller(self.encoder.embed(x), self.encoder.embed(reference))
        return p

    def refine(self, x: Tensor, reference: Tensor, p: Tensor, renders: int, seed: int = 0) -> Tensor:
        """Better settings `[P]` than `p: [P]` for one `x: [C, T]` and `reference: [C, T']`, at the encoder's sample rate."""
        return self._refined(self.path, x, reference, p, renders, seed)

    def _refined(
        self, path: EffectPath, x: Tensor, reference: Tensor, p: Tensor, renders: int, seed: int, band: Band | None = None
    ) -> Tensor:
        """On a path that may have stepped parameters after those of the controller."""
        free = torch.full((path.size - self.path.size,), 1.0 / 12.0)
        variance = torch.cat([self._variance(), free])
        others = self.others(x[None], reference[None], p[None])
        return refined(self.encoder, path, x, reference, p, variance, renders, seed, band, others)

    def others(self, x: Tensor, reference: Tensor, p: Tensor) -> Tensor:
        """The controller's answers for `x: [1, C, T]`, `[N, P]`, the likeliest first, without `p: [1, P]`, with the rest of it."""
        with torch.no_grad():
            found = self.controller.candidates(self.encoder.embed(x), self.encoder.embed(reference))
        answers = found.p[0, found.likely[0].argsort(descending=True)]
        answers = answers[(answers - p[:, : self.path.size]).abs().amax(dim=1) > 1e-6]
        return torch.cat([answers, p[:, self.path.size :].expand(len(answers), -1)], dim=1)

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
        level: Level = "loudness",
        guard: bool = True,
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
            level: the result is as loud as `x` ("loudness", BS.1770), has its peak ("peak"), or stays as it leaves the effect
                ("none").
            guard: compare the result with the input; where it is no nearer to the reference, take another answer of the network
                that is, or take it back (`StyleMatch.guard`). It costs one to six renders, and up to 700 short ones where it takes
                something back.

        Stepped parameters and switches, which no controller sets, have the level that comes nearest to the reference, or their
        default if none is clearly nearer. Each level costs two renders.

        Ctrl-C or SIGTERM ends the refinement with the best settings so far; the second one raises `KeyboardInterrupt`.

        Warns if the effect sounds different at `sample_rate` than at the encoder's rate, for which it is set.

        Raises:
            AudioError: a recording is silent, or holds NaN or infinity.
        """
        audio, other = audible(x, "the input"), audible(reference, "the reference")
        other_rate = reference_rate or sample_rate
        band = Band(self.encoder.sample_rate, sample_rate, other_rate)
        dry, goal_audio = band(self.heard(audio, sample_rate)), band(self.heard(other, other_rate))
        p = self.predict(dry, goal_audio)
        with deferred_interrupts() as interrupt:  # there are settings: they are not lost any more
            whole, verdict = StyleSetter(self.encoder, with_switches(self.path)), None
            against = Against(self.path, dry, goal_audio, band)
            p = chosen(whole.path, against, with_defaults(whole.path, p))
            if refine:
                p = self._refined(whole.path, dry[0], goal_audio[0], p[0], refine, seed, band)[None]
            if guard:
                p, verdict = taken_back(whole, against, p, sample_rate, self.others(dry, goal_audio, p))
            if verdict is not None and verdict.amount == 0.0:
                found = whole.unchanged(audio, dry, goal_audio, p, sample_rate, refine, level)
            else:
                found = whole.finished(audio, dry, goal_audio, p, sample_rate, refine, amount, level, band)
            return replace(found, interrupted=interrupt.pressed, guard=verdict)


def brings_code(spec: EffectSpec) -> str:
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
