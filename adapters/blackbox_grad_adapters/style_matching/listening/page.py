"""The page of a listening test: one HTML file with all its sounds."""

from __future__ import annotations

import html
import json
import os
import re
from typing import Any

from blackbox_grad.errors import AudioError
from blackbox_grad.files import content_of
from blackbox_grad.reports import flac, render_page, write_page
from blackbox_grad_adapters.style_matching.listening.description import AnswerError, Description
from blackbox_grad_adapters.style_matching.listening.items import REFERENCE
from blackbox_grad_adapters.style_matching.listening.trials import Prepared

#: Bytes of a page. A phone opens this much.
MOST_BYTES = 64_000_000

#: What the trained and the untrained listener is asked, by design.
QUESTIONS = {
    "mushra": (
        "How near does each sound come to the reference? One of them is the reference itself, and is 100.",
        "Rate the basic audio quality of each sound against the reference: any and all differences that you detect. The reference "
        "is hidden among the sounds, and is to be rated 100.",
    ),
    "ab": (
        "Which of the two sounds do you like better?",
        "Which of the two sounds has the better basic audio quality?",
    ),
    "ab with reference": (
        "Which of the two sounds is nearer to the reference?",
        "Which of the two sounds shows the smaller differences from the reference, of any kind?",
    ),
    "abx": (
        "X is either A or B. Which one is it?",
        "X is identical with A or with B. Decide which. If you hear no difference, guess.",
    ),
}

_DATA = re.compile(rb'<script type="application/json" id="test">(.*?)</script>', re.DOTALL)
_COLLECTOR = b'<meta name="collector" content="">'


def question(test: Prepared, trained: bool) -> str:
    """What listeners are asked, in words for trained listeners or for any."""
    design: str = test.description.design
    if design == "ab" and all(REFERENCE in item.sounds for item in test.items):
        design = "ab with reference"
    return QUESTIONS[design][trained]


def write_test(
    path: str | os.PathLike[str], test: Prepared, asked: str, command: str, *, training: int = 0, lossy: bool = False
) -> int:
    """Write the page, whole or not at all, and return its bytes.

    Args:
        asked: the question.
        training: trials to practise on first; their answers are not kept.
        lossy: MP3 in place of 16-bit FLAC: a fifth of the size, and its own traces in every sound.

    Raises:
        AudioError: the page would be larger than `MOST_BYTES`, the path cannot be written, or MP3 does not have the sample rate.
    """
    from blackbox_grad_adapters.style_matching.maps.control_map import mp3  # imports torch, which serving does without

    clips: list[str] = []
    numbers: list[dict[str, int]] = []
    size = 0
    for done, item in enumerate(test.items, start=1):
        places = {}
        for system, audio in item.sounds.items():
            places[system] = len(clips)
            clips.append(mp3(audio, item.sample_rate) if lossy else flac(audio, item.sample_rate).partition(",")[2])
            size += len(clips[-1])
        numbers.append(places)
        if size > MOST_BYTES:
            expected = size / done * len(test.items)
            raise AudioError(
                f"{path}: the page would have some {expected / 1e6:.0f} MB, and {MOST_BYTES / 1e6:.0f} MB is the most; take fewer "
                f"trials or systems, shorter sounds (--seconds){'' if lossy else ', or --mp3'}"
            )
    sounds = {name: numbers[place] for name, place in test.places.items()}
    page = render_page(
        "listen.html",
        package="blackbox_grad_adapters.style_matching",
        title=test.description.title,
        question=asked,
        # a JSON string in a script ends at the first "</", and the parser knows "<!--"
        test=_script(test.description.to_json() | {"sounds": sounds, "rate": test.sample_rate, "training": training}),
        clips=_script(clips),
        command=command,
    )
    write_page(path, page)
    return len(page.encode("utf-8", "backslashreplace"))


def read_test(path: str | os.PathLike[str]) -> tuple[bytes, Description]:
    """A page that `write_test` wrote, and the description in it.

    Raises:
        AudioError: it cannot be read, or is another page.
    """
    page = content_of(path, 2 * MOST_BYTES)
    found = _DATA.search(page)
    try:
        if found is None or _COLLECTOR not in page:
            raise AnswerError("it holds no listening test")
        if not page.rstrip().endswith(b"</html>"):
            raise AnswerError("it is cut off")
        return page, Description.from_json(json.loads(found[1]))
    except (AnswerError, ValueError, RecursionError) as error:
        raise AudioError(
            f"{os.fspath(path)}: is no page of a listening test ({error}); blackbox-grad style listen prepare makes one"
        ) from error


def collecting(page: bytes, address: str) -> bytes:
    """The page, sending its answers to an address beside it."""
    return page.replace(_COLLECTOR, f'<meta name="collector" content="{html.escape(address)}">'.encode(), 1)


def _script(data: Any) -> str:
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
