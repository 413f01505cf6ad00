"""How much of the settings that were found: from the neutral ones, 0, past those found, 1; and the preset to download."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from blackbox_grad_adapters.app import showing
from blackbox_grad_adapters.app.jobs import Job, Jobs
from blackbox_grad_adapters.app.presets import forget, packed, preset_of
from blackbox_grad_adapters.app.running import QUEUE, downloads, files_box, visitor

#: File of the settings of a job.
SETTINGS = "settings.json"

#: File of the audio at an amount.
RENDERED = "amount.wav"


@dataclass(frozen=True)
class Amount:
    """The row of a tab.

    Attributes:
        outputs: components that a new result sets.
    """

    outputs: list[Any]

    def ready(self) -> list[Any]:
        """Their values once there is a result."""
        return [
            gr.update(visible=True),
            gr.update(value=1.0),
            "",
            gr.update(value=None, visible=False),
            gr.update(value=None, visible=False),
        ]


def amount_row(jobs: Jobs, tab: str, arguments: Callable[[Job, list[str]], list[str]]) -> Amount:
    """A slider that renders again when it is let go, and a button that saves a preset for a DAW.

    Args:
        jobs: of all visitors.
        tab: its name.
        arguments: `(job, options)` -> the command that writes `RENDERED`; the options are the amount and the presets to save.
    """
    with gr.Column(visible=False) as column:
        with gr.Row():
            slider = gr.Slider(
                0.0,
                1.5,
                1.0,
                step=0.05,
                label="Amount",
                info="0: the effect does nothing, or has its defaults. 1: the settings found. Above: past them.",
                interactive=True,
                elem_id=f"{tab}-amount",
                scale=3,
            )
            preset = gr.Button("Save a preset for the DAW", scale=1)
        said = gr.HTML()
        player = gr.Audio(label="At this amount", interactive=False, visible=False, elem_id=f"{tab}-amount-audio")
        saved = files_box(f"{tab}-preset", "Preset")

    def render(request: gr.Request, amount: float, save: bool) -> Iterator[list[Any]]:
        job = jobs.of(visitor(request), tab)
        if job is None or not (job.folder / SETTINGS).exists():
            yield [showing.error("There are no settings yet; run a match first."), gr.skip(), gr.skip()]
            return
        options = [f"--amount={amount:g}", *[f"--save-preset={preset_of(_address(job))}"] * save]
        forget(job)
        for step in job.run(arguments(job, options)):
            yield [showing.bar(step), gr.skip(), gr.skip()]
        if job.complaint:
            yield [showing.error(job.complaint), gr.skip(), gr.skip()]
            return
        yield [
            showing.words(f"Amount {amount:g}.") + showing.remarks(job.remarks),
            gr.update(value=str(job.folder / RENDERED), visible=True),
            downloads(job, *filter(None, [packed(job)])),
        ]

    queue: dict[str, Any] = {"concurrency_id": QUEUE, "concurrency_limit": 1, "show_progress": "hidden"}

    def heard(request: gr.Request, amount: float) -> Iterator[list[Any]]:
        yield from render(request, amount, False)

    def kept(request: gr.Request, amount: float) -> Iterator[list[Any]]:
        yield from render(request, amount, True)

    slider.release(heard, slider, [said, player, saved], **queue)
    preset.click(kept, slider, [said, player, saved], **queue)
    return Amount([column, slider, said, player, saved])


def rendered(job: Job, options: list[str]) -> list[str]:
    """The command that renders the input at the settings of a job."""
    source = next((job.folder / "input").iterdir()).name
    return ["render", f"--parameters={SETTINGS}", *options, "--", _address(job), f"input/{source}", RENDERED]


def _address(job: Job) -> str:
    return str(json.loads((job.folder / SETTINGS).read_text("utf-8"))["effect"])
