"""The tab for `style match`: an effect set so that one recording sounds like another."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from blackbox_grad_adapters.app import showing
from blackbox_grad_adapters.app.amount import RENDERED, SETTINGS, amount_row
from blackbox_grad_adapters.app.effects_list import effect_box
from blackbox_grad_adapters.app.jobs import Job, Jobs
from blackbox_grad_adapters.app.running import buttons, downloads, files_box, run_on_click

#: Files of a job.
AUDIO, REPORT = "matched.wav", "report.html"


def style_tab(jobs: Jobs, trained: list[tuple[str, str]]) -> None:
    """Build the tab."""
    gr.Markdown("Set an effect so that the input sounds like the reference, which may be a recording of something else.")
    with gr.Row():
        source = gr.File(label="Input: the recording to change", elem_id="style-input")
        reference = gr.File(label="Reference: how it should sound", elem_id="style-reference")
    effect = effect_box(trained, trained[0][1] if trained else None)
    refine = gr.Number(0, label="Refine", info="Renders to spend on better settings; 0: the network's choice.", precision=0)
    controls = buttons("Match the style")
    report = gr.HTML()
    files = files_box("style")
    amount = amount_row(jobs, "style", _again)

    def arguments(job: Job, source: str, reference: str, effect: str, refine: float) -> list[str]:
        named = {
            "effect": effect,
            "input": job.place(source, "input"),
            "reference": job.place(reference, "reference"),
            "refine": f"{refine or 0:g}",
        }
        written = [f"--output={AUDIO}", f"--parameters={SETTINGS}", f"--report={REPORT}"]
        return ["style", "match", *(f"--{name}={value}" for name, value in named.items() if value), *written]

    def results(job: Job, *_: Any) -> tuple[str, list[Any]]:
        found = json.loads((job.folder / SETTINGS).read_text("utf-8"))
        gains = f"{found['input_gain_db']:+.1f} dB before the effect, {found['output_gain_db']:+.1f} dB after it"
        said = f"Distance to the reference: {found['distance_before']:.3g} → {found['distance']:.3g}. Gain: {gains}."
        page = job.folder / REPORT
        shown = showing.report(page) if page.exists() else None
        return said, [shown, downloads(job, AUDIO, SETTINGS, REPORT), *amount.ready()]

    run_on_click(
        jobs,
        "style",
        controls,
        [source, reference, effect, refine],
        [report, files, *amount.outputs],
        SETTINGS,
        arguments,
        results,
    )


def _again(job: Job, options: list[str]) -> list[str]:
    """The same match at another amount: the effect receives the level that it was trained with, which `render` does not know."""
    kept = [argument for argument in job.arguments if not argument.startswith(("--report=", "--parameters=", "--output="))]
    return [*kept, *options, f"--output={RENDERED}"]
