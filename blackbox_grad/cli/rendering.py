"""What `render` does with each file: read it, render it at its rate, write it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import typer

from blackbox_grad import audio_files
from blackbox_grad.cli.chosen import Chosen
from blackbox_grad.cli.completion import remember_parameters
from blackbox_grad.cli.console import complain, out, print_json, say, table
from blackbox_grad.cli.curves import print_curves
from blackbox_grad.cli.many_files import Job, Outcome, jobs, longest, run
from blackbox_grad.cli.outputs import warn_of_clipping
from blackbox_grad.cli.progress import Shown, progress_bar
from blackbox_grad.cli.sound import Sound, sound_of
from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.saved_settings import saved_settings
from blackbox_grad.errors import BlackboxGradError, NonFiniteAudioError
from blackbox_grad.hosts.default import opened_host
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.interrupts import Interrupt, deferred_interrupts
from blackbox_grad.parameters.names import plain_name

#: Parameters of an effect whose settings are all printed.
_MOST_ROWS = 40


class Rendering:
    """An effect with its settings, and how sounds are read for it.

    Args:
        chosen: the effect.
        note, seconds, sample_rate: of a render of notes.
        tail: seconds of silence after the end of a recording.
        notes: a MIDI file that goes beside every recording.
    """

    def __init__(
        self,
        chosen: Chosen,
        note: str | None = None,
        seconds: float | None = None,
        rate: float | None = None,
        tail: float = 0.0,
        notes: Path | None = None,
    ) -> None:
        self.chosen, self._notes = chosen, notes
        self._note, self._seconds, self._rate, self._tail = note, seconds, rate, tail

    def sound_of(self, source: Path | None) -> Sound:
        """A file with its tail and the notes beside it, or the notes."""
        sound = self._with_tail(sound_of(source, self._note, self._seconds, self._rate))
        return sound if self._notes is None else sound.accompanied(self._notes)

    def _with_tail(self, sound: Sound) -> Sound:
        if not self._tail:
            return sound
        if sound.takes == "notes":
            raise typer.BadParameter(
                "--tail is for recordings; the render of a MIDI file or a note is 1 s longer than they are"
            )
        more = round(self._tail * sound.sample_rate)
        return replace(sound, audio=np.pad(sound.audio, ((0, 0), (0, more))))

    def opened(self, host: Host, sound: Sound) -> EffectInfo:
        """The effect at the rate of the sound, with its settings."""
        sound.check(host.open(self.chosen.spec(sound.sample_rate)))
        return self.chosen.opened(host, sound.sample_rate, sound.audio)

    def render(self, host: Host, sound: Sound) -> tuple[EffectInfo, Audio]:
        """The effect at the rate of the sound, and `[C, T]`.

        Raises:
            NonFiniteAudioError: it returned NaN or infinity.
        """
        info = self.opened(host, sound)
        rendered, finite = host.render_batch(info.spec, sound.audio[None], self.chosen.point(sound.sample_rate)[None])
        if not finite.all():
            space = info.parameters
            setting = ", ".join(f"{p.name}={p.text(v)}" for p, v in zip(space.everything, space.held, strict=True))
            raise NonFiniteAudioError(f"{info.spec.address} returned NaN or infinity at {setting}; choose other settings")
        return info, rendered[0, : sound.channels]

    def amount_as_json(self) -> dict[str, Any]:
        """What is said of an amount other than 1."""
        neutral = self.chosen.neutral
        if neutral is None:
            return {}
        return {"amount": self.chosen.amount, "neutral": {"kind": neutral.kind, "moved": list(neutral.moved)}}


def render_many(rendering: Rendering, sources: Sequence[Path], folder: Path, where: str | None, json: bool) -> None:
    """Render files into a folder. Exits with 1 if one failed, and as Ctrl-C does after Ctrl-C."""
    made = jobs(sources, folder)
    finished: list[Outcome] = []
    limit = 60.0 + 10.0 * longest(sources)
    with deferred_interrupts(lambda: bool(finished)) as interrupt, opened_host(where, time_limit=limit) as host:
        host.open(rendering.chosen.spec(44100.0))  # an effect that cannot be opened is said once
        if rendering.chosen.amount != 1.0:  # it is measured on the first file, in every run
            with contextlib.suppress(BlackboxGradError):  # which is said again with the file
                rendering.opened(host, rendering.sound_of(sources[0]))
        infos: dict[float, EffectInfo] = {}

        def work(job: Job) -> Outcome:
            sound = rendering.sound_of(job.source)
            audio_files.check_written(job.result, sound.channels, sound.sample_rate)
            info, rendered = rendering.render(host, sound)
            audio_files.write(job.result, rendered, sound.sample_rate)
            warn_of_clipping(job.result, rendered)
            infos.setdefault(sound.sample_rate, info)
            peak = audio_files.peak_decibels(rendered)
            return Outcome(job, sound.sample_rate, rendered.shape[0], rendered.shape[1] / sound.sample_rate, peak)

        def on_done(outcome: Outcome, done: int) -> None:
            finished.append(outcome)
            show(Shown("rendering", done / len(made), f"{done}/{len(made)} {outcome.job.source.name}"))

        at_once = min(getattr(host, "hosts", 1), len(made))
        with progress_bar() as show:
            outcomes = run(made, work, at_once, interrupt, on_done)
    for info in infos.values():
        remember_parameters(info)
    _report(rendering, outcomes, list(infos.values()), len(made), folder, json)
    _exit(outcomes, interrupt)


def _report(
    rendering: Rendering, outcomes: Sequence[Outcome], infos: Sequence[EffectInfo], asked: int, folder: Path, json: bool
) -> None:
    written = [outcome for outcome in outcomes if not outcome.error]
    if json:
        files = [
            {"input": str(o.job.source), "output": None if o.error else str(o.job.result)}
            | {name: value for name, value in asdict(o).items() if name != "job"}
            for o in outcomes
        ]
        at_rates = [saved_settings(info, rendering.chosen.point(info.sample_rate)) for info in infos]
        print_json({"settings": at_rates, **rendering.amount_as_json(), "files": files, "left": asked - len(outcomes)})
        return
    if infos:
        print_settings(infos[0], rendering.chosen)
    for o in written:
        say(f"{o.job.result}: {o.seconds:.2f} s, {o.channels} channels, {o.sample_rate:g} Hz")
    through = f", through {infos[0].name}" if infos else ""
    left = f"; {asked - len(outcomes)} not begun" if len(outcomes) < asked else ""
    say(f"{len(written)} of {asked} files are in {folder}{through}{left}")


def _exit(outcomes: Sequence[Outcome], interrupt: Interrupt) -> None:
    """Say what failed, equal reasons once, and end with the code for it."""
    failed: dict[str, list[Path]] = {}
    for outcome in outcomes:
        if outcome.error:
            failed.setdefault(outcome.error, []).append(outcome.job.source)
    for reason, sources in failed.items():
        names = ", ".join(map(str, sources))
        complain(reason if len(sources) == 1 and names in reason else f"{names}: {reason}")
    if failed:
        raise typer.Exit(1)
    if interrupt.pressed:
        raise typer.Exit(interrupt.exit_code)


def print_settings(info: EffectInfo, chosen: Chosen) -> None:
    """The settings of a render; of a large effect, those that were chosen."""
    if info.spec.curves is not None:
        print_curves(info, chosen.point(info.sample_rate))
    space, names = info.parameters, set(map(plain_name, chosen.names))
    if chosen.neutral is not None:
        names |= set(map(plain_name, chosen.neutral.moved))
        say(_amount(chosen))
        say("")
    rows = table("parameter", "setting", "normalised", right=["normalised"], whole=["setting"])
    still = [i for i, p in enumerate(space.everything) if p.knot is None]
    shown = [i for i in still if len(still) <= _MOST_ROWS or plain_name(space.everything[i].name) in names]
    for i in shown:
        parameter, value = space.everything[i], space.held[i]
        rows.add_row(parameter.name, parameter.text(value), f"{value:.4f}")
    if shown:
        out().print(rows)
    if len(shown) < len(still):
        say(f"{len(still) - len(shown)} other parameters are as the effect starts")
    say("")


def _amount(chosen: Chosen) -> str:
    assert chosen.neutral is not None
    moved = ", ".join(chosen.neutral.moved) or "nothing"
    neutral = {
        "nothing": f"where the effect does nothing ({moved} moved)",
        "least": f"where the effect does least ({moved} moved)",
        "defaults": "the defaults, as no settings were found at which the effect does nothing",
    }[chosen.neutral.kind]
    return f"amount {chosen.amount:g} of these settings; 0 is {neutral}"
