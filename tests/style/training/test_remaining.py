"""The time that is left is that of the rest, at the rates that were measured."""

from __future__ import annotations

import pytest

from blackbox_grad_adapters.style_matching.training.remaining import Phase, Remaining, in_words

PHASES = [Phase("pairs", 4, 10.0), Phase("epochs", 5, 2.0)]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("slower", [1.0, 3.0])
@pytest.mark.parametrize("cached", [0, 2])
def test_what_is_left_is_known_from_the_work_itself(slower, cached):
    clock = Clock()
    remaining = Remaining(PHASES, clock)
    for done in range(cached + 1, 5):
        clock.now += 10.0 * slower
        assert remaining.after("pairs", done) == pytest.approx((4 - done) * 10.0 * slower + 10.0)
    for done in range(1, 6):
        clock.now += 2.0 * slower
        assert remaining.after("epochs", done) == pytest.approx((5 - done) * 2.0 * slower)


def test_a_phase_that_was_skipped_is_over():
    clock = Clock()
    remaining = Remaining(PHASES, clock)
    clock.now = 2.0
    assert remaining.after("epochs", 1) == pytest.approx(8.0)
    assert remaining.after("another", 1) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.3, "5 s"), (38.2, "40 s"), (119.0, "2 min"), (596.0, "10 min"), (1500, "25 min"), (9000, "2.5 h")]
)
def test_it_is_as_exact_as_an_estimate_is(seconds, words):
    assert in_words(seconds) == words
