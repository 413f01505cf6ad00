"""How a tab of the page runs its command: the buttons, the queue, the progress, and what is left at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from blackbox_grad_adapters.app import showing
from blackbox_grad_adapters.app.jobs import Job, Jobs

#: Of all jobs: plug-ins want the whole processor, so one runs at a time.
QUEUE = "plug-ins"


@dataclass(frozen=True)
class Buttons:
    """Of a tab: what starts its job, what stops it, and where both speak."""

    start: gr.Button
    stop: gr.Button
    status: gr.HTML


def buttons(label: str) -> Buttons:
    """A row of buttons, and the line for the progress below."""
    with gr.Row():
        start = gr.Button(label, variant="primary", scale=3)
        stop = gr.Button("Stop", interactive=False, scale=1)
    return Buttons(start, stop, gr.HTML(showing.words("Nothing runs.")))


def run_on_click(
    jobs: Jobs,
    tab: str,
    controls: Buttons,
    inputs: list[Any],
    outputs: list[Any],
    result: str,
    arguments: Callable[..., list[str]],
    results: Callable[..., tuple[str, list[Any]]],
) -> None:
    """Let a button run a command.

    Args:
        jobs: of all visitors.
        tab: its name.
        controls: its buttons.
        inputs: components whose values `arguments` receives.
        outputs: components that `results` fills; they are emptied at the start.
        result: the file without which there is nothing to show.
        arguments: `(job, *values)` -> the arguments of `blackbox-grad`.
        results: `(job, *values)` -> the last words and the values of `outputs`, once the command has ended well.
    """
    everything = [controls.start, controls.stop, controls.status, *outputs]
    nothing = [gr.update(visible=False) if isinstance(o, (gr.Column, gr.File, gr.Audio)) else None for o in outputs]

    def begin(request: gr.Request) -> list[Any]:
        jobs.new(visitor(request), tab)
        waiting = showing.words("Waiting for its turn.")
        return [gr.update(interactive=False), gr.update(interactive=True), waiting, *nothing]

    def run(request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        job = jobs.of(visitor(request), tab)
        if job is None:
            return
        begun = [gr.update(interactive=False), gr.update(interactive=True)]
        as_they_are = [gr.skip() for _ in outputs]
        yield [*begun, showing.words("Opening the plug-in."), *as_they_are]
        for step in job.run(arguments(job, *values)):
            yield [*begun, showing.bar(step), *as_they_are]
        ended = [gr.update(interactive=True), gr.update(interactive=False)]
        if job.complaint or not (job.folder / result).exists():
            yield [*ended, showing.error(job.complaint or "Stopped before there was a result."), *nothing]
            return
        said, found = results(job, *values)
        yield [*ended, showing.words(said) + showing.remarks(job.remarks), *found]

    def stop(request: gr.Request) -> Any:
        job = jobs.of(visitor(request), tab)
        if job is not None:
            job.stop()
        return showing.words("Stopping.")

    controls.start.click(begin, None, everything, queue=False, show_progress="hidden").then(
        run,
        inputs,
        everything,
        concurrency_id=QUEUE,
        concurrency_limit=1,
        show_progress="hidden",
    )
    controls.stop.click(stop, None, controls.status, concurrency_limit=None, show_progress="hidden")


def files_box(tab: str, label: str = "Files") -> gr.File:
    """Files to download; hidden until there are some."""
    return gr.File(label=label, file_count="multiple", interactive=False, visible=False, elem_id=f"{tab}-files")


def downloads(job: Job, *names: str) -> Any:
    """What a box of files shows: those of the names that the job has written."""
    written = [str(path) for path in (job.folder / name for name in names) if path.exists()]
    return gr.update(value=written, visible=bool(written))


def visitor(request: gr.Request) -> str:
    """Who asks: the same for a page as long as it is open."""
    return str(request.session_hash)
