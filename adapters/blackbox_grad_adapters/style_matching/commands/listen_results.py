"""`blackbox-grad style listen results`: who listened, and what they heard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blackbox_grad.cli import Json, importing, out, print_json, say, table, warn
from blackbox_grad.errors import AudioError
from blackbox_grad.files import check_writable
from blackbox_grad_adapters.style_matching.listening.answers import Answers, gathered

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.listening.choices import Count
    from blackbox_grad_adapters.style_matching.listening.ratings import Rated
    from blackbox_grad_adapters.style_matching.listening.screening import Verdict


def results(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Answers: JSON from the page, a database of `serve`, folders of both.")
    ],
    test: Annotated[
        str | None, typer.Option(metavar="ID", help="Of the test, if there are answers to several.", show_default=False)
    ] = None,
    screening: Annotated[
        bool, typer.Option(help="MUSHRA: exclude listeners who miss the hidden reference, or rate the 7 kHz anchor like it.")
    ] = True,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw them: .png, .svg or .pdf.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Show the results of a listening test: means or counts with 95 % confidence, and tests, by effect and by system.

    Listeners are screened as ITU-R BS.1534-3 says.

    \b
    Examples:
      blackbox-grad style listen results test.db
      blackbox-grad style listen results answers/ --figure results.svg --json
    """
    with importing():
        from blackbox_grad_adapters.style_matching.listening.choices import counted
        from blackbox_grad_adapters.style_matching.listening.figure import SUFFIXES, draw_choices, draw_ratings
        from blackbox_grad_adapters.style_matching.listening.ratings import rated
        from blackbox_grad_adapters.style_matching.listening.screening import screened

    if figure is not None:
        check_writable(figure, SUFFIXES)
    answers = gathered(files, test)
    facts = {
        "test": {"id": answers.test.id, "title": answers.test.title, "design": answers.test.design},
        "listeners": list(answers.listeners),
    }
    if answers.test.design == "mushra":
        verdicts = screened(answers)
        kept = [verdict.listener for verdict in verdicts if verdict.counts or not screening]
        if not kept:
            reasons = "; ".join(f"{v.listener} {' and '.join(v.reasons)}" for v in verdicts[:3])
            raise AudioError(f"no listener passes the screening ({reasons}); --no-screening shows their answers")
        found = rated(answers, kept)
        if json:
            print_json(_plain(facts | {"screening": [_verdict(v, v.listener in kept) for v in verdicts]} | asdict(found)))
        else:
            _print_listeners(answers, verdicts, kept)
            _print_ratings(found)
        if figure is not None:
            draw_ratings(figure, found.means, answers.test.title)
    else:
        counts = counted(answers)
        if json:
            print_json(_plain(facts | {"counts": [asdict(count) | {"share": count.share} for count in counts]}))
        else:
            say(f"{answers.test.title}: {len(answers.listeners)} listeners")
            say("")
            _print_counts(counts, answers.test.design)
        if figure is not None:
            draw_choices(figure, counts, answers.test.title, answers.test.design)
    if figure is not None and not json:
        say(("figure  ", "dim"), str(figure))


def _print_listeners(answers: Answers, verdicts: list[Verdict], kept: list[str]) -> None:
    trials = len(answers.test.trials)
    say(f"{answers.test.title}: {len(kept)} of {len(verdicts)} listeners, {trials} trials")
    if partly := sum(verdict.trials < trials for verdict in verdicts):
        say(f"{partly} of {len(verdicts)} have not finished")
    for verdict in verdicts:
        if not verdict.counts:
            excluded = "is excluded" if verdict.listener not in kept else "would be excluded"
            warn(f"{verdict.listener} {excluded}: {' and '.join(verdict.reasons)}")
    say("")


def _print_ratings(found: Rated) -> None:
    rows = [
        (
            mean.effect,
            mean.system,
            f"{mean.value:.1f}",
            "–" if math.isnan(mean.low) else f"{mean.low:.1f} … {mean.high:.1f}",
            f"{mean.median:.0f}",
            str(mean.ratings),
        )
        for mean in found.means
    ]
    _print_table(("system",), ("mean", "95 %", "median", "ratings"), rows)
    if found.differences:
        say("")
        say("Pairs of systems, Wilcoxon's signed-rank test, p by Holm's method")
        pairs = [(d.effect, d.first, d.second, f"{d.value:+.1f}", _p(d.p), _p(d.p_holm)) for d in found.differences]
        _print_table(("system", "minus"), ("difference", "p", "corrected"), pairs)
    say("")
    if found.by_listener:
        say("The sample is the listeners, each by the mean of the ratings.")
    else:
        say("With fewer than six listeners, the sample is single ratings: the results speak for these listeners only.")
    if found.outliers:
        say(f"{len(found.outliers)} ratings are outliers, and count; --json lists them.")


def _print_counts(counts: list[Count], design: str) -> None:
    names = ("first", "second", "first chosen") if design == "ab" else ("A or B", "B or A", "recognised")
    rows = [
        (
            c.effect,
            c.first,
            c.second,
            str(c.hits),
            str(c.answers),
            f"{c.share:.0%}",
            f"{c.low:.0%} … {c.high:.0%}",
            _p(c.p),
            _p(c.p_holm),
        )
        for c in counts
    ]
    _print_table(names[:2], (names[2], "of", "share", "95 %", "p", "corrected"), rows)
    say("")
    sides = "two-sided" if design == "ab" else "one-sided"
    say(f"p is of the {sides} binomial test against chance; corrected by Holm's method.")


def _print_table(left: Sequence[str], right: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Rows begin with their effect, which is left out if there is one only."""
    several = len({row[0] for row in rows}) > 1
    made = table(*(("effect",) if several else ()), *left, *right, right=right)
    for effect, *cells in rows:
        made.add_row(*((effect or "all",) if several else ()), *cells)
    out().print(made)


def _p(value: float) -> str:
    return "<0.0001" if value < 1e-4 else f"{value:.4f}"


def _verdict(verdict: Verdict, kept: bool) -> dict[str, Any]:
    return asdict(verdict) | {"reasons": verdict.reasons, "kept": kept}


def _plain(data: Any) -> Any:
    """NaN is no JSON."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and math.isnan(data) else data
