"""`blackbox-grad demo`: `match` on a bundled recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blackbox_grad import audio_files
from blackbox_grad.cli.arguments import HostOption
from blackbox_grad.cli.console import say
from blackbox_grad.cli.importing import importing
from blackbox_grad.cli.outputs import Outputs, write_match
from blackbox_grad.errors import AudioError
from blackbox_grad.interrupts import deferred_interrupts


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Created if it does not exist.")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed repeats a run.")] = 0,
    host: HostOption = None,
) -> None:
    """Hide the settings of a distortion, a filter and a reverb in a real recording, and find them again.

    Writes the input, the target, the match, the settings and a report to FOLDER. Takes about half a minute.
    """
    with importing():
        from blackbox_grad.cli.match_output import Search, print_match
        from blackbox_grad.hosts.default import opened_host
        from blackbox_grad.matching import demo as task
        from blackbox_grad.matching.wording import searching

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioError(f"{output}: the folder cannot be made ({error.strerror})") from error
    source, target = output / "input.wav", output / "target.wav"
    outputs = Outputs(output / "matched.wav", output / "report.html", output / "settings.json")
    outputs.check(source, target)
    say("An electric guitar goes through ", (task.ADDRESS, "bold"), " at hidden settings.")
    say("match receives the input and the result, and searches for the settings by rendering the effects.\n")
    search = Search()
    with deferred_interrupts(lambda: search.found) as interrupt:
        with opened_host(host) as rendering:
            given = task.puzzle(rendering)
            audio_files.write(source, given.audio, given.spec.sample_rate)
            audio_files.write(target, given.target, given.spec.sample_rate)
            length = given.audio.shape[1] / given.spec.sample_rate
            found = search.run(
                lambda: searching(given.spec.address, len(given.parameters), task.RENDERS, task.EXCERPT, length),
                lambda on_progress: task.solve(given, rendering, seed, on_progress),
            )
        truth = dict(zip(given.parameters.names, map(float, given.point), strict=True))
        write_match(outputs, found, given.audio, given.target, truth)
        print_match(found, interrupt, given.parameters.to_text(given.point))
        outputs.print()
    outputs.exit(interrupt, found.error)
