"""A test as an experiment of webMUSHRA (M. Schoeffler et al., "webMUSHRA", Journal of Open Research Software 6, 2018,
doi:10.5334/jors.187): a configuration in YAML, and WAV files."""

from __future__ import annotations

import html
import re
import textwrap
from pathlib import Path
from typing import Any

from blackbox_grad.audio_files import write
from blackbox_grad.dependencies import library
from blackbox_grad.errors import AudioError
from blackbox_grad.files import check_folder, replacing
from blackbox_grad_adapters.style_matching.listening.description import Trial
from blackbox_grad_adapters.style_matching.listening.items import REFERENCE
from blackbox_grad_adapters.style_matching.listening.trials import Prepared


def write_webmushra(folder: Path, test: Prepared, asked: str) -> Path:
    """Write `configs/NAME.yaml` and the sounds under `configs/resources/NAME/`, to be copied into webMUSHRA, and return the former.

    MUSHRA becomes pages of type `mushra`, with our own anchors as conditions, so the sounds are those of the page. ABX becomes
    `paired_comparison`, in which the reference is X.

    Raises:
        AudioError: a file cannot be written, or the test compares two systems, which webMUSHRA has no page for.
    """
    design = test.description.design
    if design == "ab" or any(REFERENCE not in trial.systems for trial in test.description.trials):
        raise AudioError(
            "webMUSHRA compares sounds with a reference, and has no page for two systems; export MUSHRA or ABX with the reference"
        )
    check_folder(folder)
    name = f"{_plain(test.description.title)}-{test.description.id[:8]}"
    inside = f"configs/resources/{name}"
    try:
        (folder / inside).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioError(f"{folder}: the folder cannot be made ({error.strerror}); choose another") from error
    places: list[dict[str, str]] = []
    for number, item in enumerate(test.items, start=1):
        files = {}
        for order, (system, audio) in enumerate(item.sounds.items()):
            files[system] = f"{inside}/{number}-{order}-{_plain(system)}.wav"
            write(folder / files[system], audio, item.sample_rate)
        places.append(files)
    pages = [_page(trial, places[test.places[trial.id]], design, asked) for trial in test.description.trials]
    experiment = {
        "testname": test.description.title,
        "testId": name,
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": True,
        "remoteService": "service/write.php",
    }
    welcome = {"type": "generic", "id": "welcome", "name": test.description.title, "content": html.escape(asked)}
    finish = {"type": "finish", "name": "Thank you", "content": "Thank you.", "showResults": True, "writeResults": True}
    file = folder / "configs" / f"{name}.yaml"
    with replacing(file) as temporary:
        temporary.write_text(_yaml(experiment, welcome, pages, finish), "utf-8")
    return file


def _yaml(experiment: dict[str, Any], welcome: dict[str, Any], pages: list[dict[str, Any]], finish: dict[str, Any]) -> str:
    """The experiment, with its pages in random order between the two others.

    webMUSHRA's parser knows a list in a list only on lines of its own, so the lists are put together here.
    """
    yaml = library("yaml", "a configuration of webMUSHRA", "style-training")

    def block(data: Any, indent: int) -> str:
        text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100_000)
        return textwrap.indent(text, " " * indent)

    parts = [block(experiment, 0), "pages:\n", block([welcome], 2), "  -\n", block(["random", *pages], 6), block([finish], 2)]
    return "".join(parts)


def _page(trial: Trial, files: dict[str, str], design: str, asked: str) -> dict[str, Any]:
    shared = {
        "id": f"trial-{trial.id}",
        "name": "Listen",
        "content": html.escape(asked if design == "mushra" else "Which of the two is the same as the reference?"),
        "showWaveform": True,
        "enableLooping": True,
        "reference": files[REFERENCE],
    }
    stimuli = {system: files[system] for system in trial.systems if system != REFERENCE}
    if design == "abx":
        return {"type": "paired_comparison", **shared, "stimuli": stimuli}
    return {"type": "mushra", **shared, "createAnchor35": False, "createAnchor70": False, "stimuli": stimuli}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "test"
