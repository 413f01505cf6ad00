"""The tab for `match`: two recordings, or notes and a recording; then the settings, and how much of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr

from blackbox_grad_adapters.app import showing
from blackbox_grad_adapters.app.amount import amount_row, rendered
from blackbox_grad_adapters.app.effects_list import effect_box
from blackbox_grad_adapters.app.jobs import Job, Jobs
from blackbox_grad_adapters.app.running import buttons, downloads, files_box, run_on_click

#: Files of a job.
AUDIO, SETTINGS, REPORT = "matched.wav", "settings.json", "report.html"

_MIDI = (".mid", ".midi")


def matching_tab(jobs: Jobs, listed: list[tuple[str, str]]) -> None:
    """Build the tab."""
    gr.Markdown(
        "Find the settings with which an effect turns one recording into another, "
        "or with which an instrument plays notes so that they sound like a recording."
    )
    with gr.Row():
        source = gr.File(label="Input: a recording or a MIDI file", elem_id="match-input")
        target = gr.File(label="Target: the recording to match", elem_id="match-target")
    effect = effect_box(listed, "pedalboard-builtin:Reverb")
    with gr.Accordion("More", open=False):
        renders = gr.Number(1000, label="Renders", info="The most renders of the plug-in; at least 8.", precision=0)
        only = gr.Textbox(
            label="Only", info="Change these parameters and hold the others: names or patterns, one a line.", lines=2
        )
        held = gr.Textbox(label="Hold", info="NAME=VALUE, one a line: Time=350ms, 'Drive=0.4 normalised'.", lines=2)
        loss = gr.Textbox(label="Distance", info="mrstft, mel, envelope, l1, or a sum: mrstft + 0.5*l1. Empty: the usual one.")
    controls = buttons("Match")
    report = gr.HTML()
    files = files_box("match")
    amount = amount_row(jobs, "match", rendered)

    def arguments(
        job: Job, source: str, target: str, effect: str, renders: float, only: str, held: str, loss: str
    ) -> list[str]:
        given = job.place(source, "input")
        kind = "notes" if Path(given).suffix.lower() in _MIDI else "input"
        named = {
            "effect": effect,
            kind: given,
            "target": job.place(target, "target"),
            "loss": loss,
            "renders": f"{renders or 0:g}",
        }
        more = [f"--only={name}" for name in _lines(only)] + [f"--set={pair}" for pair in _lines(held)]
        written = [f"--output={AUDIO}", f"--parameters={SETTINGS}", f"--report={REPORT}"]
        return ["match", *(f"--{name}={value}" for name, value in named.items() if value), *more, *written]

    def results(job: Job, *_: Any) -> tuple[str, list[Any]]:
        found = json.loads((job.folder / SETTINGS).read_text("utf-8"))
        said = f"{found['name']}: distance {found['loss_start']:.3g} → {found['loss']:.3g} in {found['renders']} renders."
        page = job.folder / REPORT
        return said, [
            showing.report(page) if page.exists() else None,
            downloads(job, AUDIO, SETTINGS, REPORT),
            *amount.ready(),
        ]

    run_on_click(
        jobs,
        "match",
        controls,
        [source, target, effect, renders, only, held, loss],
        [report, files, *amount.outputs],
        SETTINGS,
        arguments,
        results,
    )


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]
