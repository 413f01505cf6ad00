"""The tab for `inspect --deep`: what a plug-in really does."""

from __future__ import annotations

from typing import Any

import gradio as gr

from blackbox_grad_adapters.app import showing
from blackbox_grad_adapters.app.effects_list import effect_box
from blackbox_grad_adapters.app.jobs import Job, Jobs
from blackbox_grad_adapters.app.running import buttons, downloads, files_box, run_on_click

_REPORT = "inspection.html"


def inspection_tab(jobs: Jobs, listed: list[tuple[str, str]]) -> None:
    """Build the tab."""
    gr.Markdown("Measure a plug-in: which parameters are heard, with how much noise, and whether a render repeats itself.")
    effect = effect_box(listed, "pedalboard-builtin:Reverb")
    limit = gr.Number(60, label="Time limit, seconds", precision=0)
    controls = buttons("Inspect")
    report = gr.HTML()
    files = files_box("inspection")

    def arguments(job: Job, effect: str, limit: float) -> list[str]:
        options = ["--deep", f"--report={_REPORT}", f"--time-limit={limit or 0:g}"]
        return ["inspect", *options, "--", *([effect] if effect else [])]

    def results(job: Job, *_: Any) -> tuple[str, list[Any]]:
        return "Measured.", [showing.report(job.folder / _REPORT), downloads(job, _REPORT)]

    run_on_click(jobs, "inspection", controls, [effect, limit], [report, files], _REPORT, arguments, results)
