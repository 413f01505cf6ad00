"""References from outside: measure style matching where no controller was trained, with and without its guard.

    python benchmarks/style_outside.py --results runs/style-outside

Results are kept in the folder, so the next call continues. The last one writes `docs/measured/style-outside.md`. It needs the
evaluation corpora and Debian's mda-lv2, and about 20 minutes of one core for 8 examples of each effect and kind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from style_outside_examples import Example, Examples
from style_outside_page import page
from style_outside_settings import alike
from torch import Tensor

from blackbox_grad import ProcessPool
from blackbox_grad.files import replacing
from blackbox_grad_adapters.style_matching.data import corpora
from blackbox_grad_adapters.style_matching.effect_path import SAMPLE_RATE, EffectPath
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES
from blackbox_grad_adapters.style_matching.measures.spectral import multi_resolution_stft
from blackbox_grad_adapters.style_matching.networks import shipped

PAGE = Path(__file__).parent.parent / "docs" / "measured" / "style-outside.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("runs/style-outside"), help="folder of results")
    parser.add_argument("--examples", type=int, default=8, help="of each effect and kind: half speech, half music")
    parser.add_argument("--side", default="evaluate", choices=["evaluate", "validate"], help="of the corpora")
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*sounds different")
    arguments.results.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(ProcessPool(1)) as host:
        tracks = {kind: corpora.tracks(arguments.side, SAMPLE_RATE, kind=kind) for kind in ("speech", "music")}
        for index in range(arguments.examples):
            music = ("speech", "music")[index % 2]
            for effect in shipped.NINE:
                address = f"{shipped.MDA}/{effect}"
                examples, matcher = Examples(effect, tracks[music], host), StyleMatcher.load(address, host)
                for kind in examples.kinds():
                    file = arguments.results / f"{effect}-{kind.replace(' ', '-')}-{index}.json"
                    write(file, lambda k=kind, e=examples, m=matcher, i=index: measured(m, e(k, i)))
                file = arguments.results / f"{effect}-settings-{index}.json"
                write(file, lambda m=matcher, e=examples, i=index: alike(m.path, e, i))
            print(f"{index + 1} of {arguments.examples}", flush=True)
    with replacing(arguments.page) as temporary:
        temporary.write_text(page(list(rows(arguments.results, arguments.examples))), "utf-8")


def write(file: Path, measure: Any) -> None:
    """Measure, unless the file is there."""
    if not file.exists():
        found = measure()
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(found), "utf-8")


def rows(folder: Path, examples: int) -> Iterator[dict[str, Any]]:
    """All results, with effect, kind and index."""
    for file in sorted(folder.glob("*.json")):
        effect, _, rest = file.stem.partition("-")
        kind, _, index = rest.rpartition("-")
        if int(index) < examples:
            yield {"effect": effect, "kind": kind.replace("-", " "), "index": int(index), **json.loads(file.read_text("utf-8"))}


def measured(matcher: StyleMatcher, example: Example) -> dict[str, Any]:
    """Distances from the truth without effect, without and with the guard, and between the two parts of the recording."""
    path = matcher.path
    x, reference = example.input.numpy(), example.reference.numpy()
    free = matcher.match(x, reference, SAMPLE_RATE, example.reference_rate, guard=False)
    guarded = matcher.match(x, reference, SAMPLE_RATE, example.reference_rate)
    verdict = guarded.guard
    assert verdict is not None
    sounds = {"dry": example.input, "free": torch.from_numpy(free.y), "guarded": torch.from_numpy(guarded.y)}
    found = {name: distances(path, y[None], example.truth[None]) for name, y in sounds.items()}
    return {
        **found,
        "amount": verdict.amount,
        "settings": free.settings(),
        "switches": example.switches,
        "halves": example.halves,
    }


def distances(path: EffectPath, y: Tensor, truth: Tensor) -> dict[str, float]:
    """By MRSTFT and the judges; the sound is faded and normalised as the truth is."""
    finished = path.dry(y)
    judged = {name: float(judge(finished, truth, path.sample_rate)[0]) for name, judge in JUDGES.items()}
    return {"mrstft": float(multi_resolution_stft(finished, truth)), **{name: round(v, 5) for name, v in judged.items()}}


if __name__ == "__main__":
    main()
