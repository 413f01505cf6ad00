"""Which listeners of a MUSHRA test count: the post-screening of ITU-R BS.1534-3, 4.1.2."""

from __future__ import annotations

from dataclasses import dataclass

from blackbox_grad_adapters.style_matching.listening.anchors import MID_ANCHOR
from blackbox_grad_adapters.style_matching.listening.answers import Answers
from blackbox_grad_adapters.style_matching.listening.items import REFERENCE

#: A rating of the hidden reference below it is a miss, and one of the mid-range anchor above it.
SCORE = 90.0

#: Share of the trials in which a listener may miss.
MISSES = 0.15

#: If more listeners than this share rate the mid-range anchor of a trial above `SCORE`, the anchor was too good, and not they.
LENIENT = 0.25


@dataclass(frozen=True)
class Verdict:
    """Whether a listener counts.

    Attributes:
        trials: answered.
        reference_below: share of the trials in which the hidden reference was rated below 90.
        anchor_above: share in which the mid-range anchor was rated above 90, of the trials whose anchor can tell; 0 without.
    """

    listener: str
    trials: int
    reference_below: float
    anchor_above: float

    @property
    def reasons(self) -> list[str]:
        """Why not; empty if the listener counts."""
        made = []
        if self.reference_below > MISSES:
            made.append(f"rated the hidden reference below {SCORE:g} in {self.reference_below:.0%} of the trials")
        if self.anchor_above > MISSES:
            made.append(f"rated the 7 kHz anchor above {SCORE:g} in {self.anchor_above:.0%} of the trials")
        return made

    @property
    def counts(self) -> bool:
        return not self.reasons


def screened(answers: Answers) -> list[Verdict]:
    """A verdict on each listener of a MUSHRA test: excluded are those who miss in more than 15 % of their trials."""
    lenient = _trials_with_a_good_anchor(answers)
    verdicts = []
    for listener, given in answers.listeners.items():
        references = [answer["ratings"][REFERENCE] for answer in given.values() if REFERENCE in answer["ratings"]]
        anchors = [
            answer["ratings"][MID_ANCHOR]
            for trial, answer in given.items()
            if MID_ANCHOR in answer["ratings"] and trial not in lenient
        ]
        verdicts.append(
            Verdict(
                listener,
                len(given),
                _share([rating < SCORE for rating in references]),
                _share([rating > SCORE for rating in anchors]),
            )
        )
    return verdicts


def _trials_with_a_good_anchor(answers: Answers) -> set[str]:
    """Those in which more than a quarter of the listeners rate it above 90."""
    found = set()
    for trial in answers.test.trials:
        ratings = [given[trial.id]["ratings"].get(MID_ANCHOR) for given in answers.listeners.values() if trial.id in given]
        if _share([rating > SCORE for rating in ratings if rating is not None]) > LENIENT:
            found.add(trial.id)
    return found


def _share(hits: list[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0
