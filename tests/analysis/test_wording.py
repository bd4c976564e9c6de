"""Numbers are said the way a paper prints them."""

from __future__ import annotations

import pytest

from harness.analysis.wording import (
    count,
    duration,
    gain,
    listed,
    percent,
    plus_minus,
    points,
    probability,
    round_count,
    span,
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (percent(0.9612), "96.12"),
        (percent(None), "–"),
        (percent(float("nan")), "–"),
        (points(0.0084), "+0.84"),
        (points(-0.0084), "−0.84"),
        (points(-0.00001), "0.00"),
        (plus_minus(0.9, 0.92), "± 1.00"),
        (plus_minus(None, None), "no interval"),
        (span(-0.01, 0.02), "[−1.00, +2.00]"),
        (gain(0.01, 0.0, 0.02), "+1.00 points [0.00, +2.00]"),
        (gain(0.01, None, None), "+1.00 points, no interval"),
        (probability(0.0123), "p = .012"),
        (probability(0.0001), "p < .001"),
        (probability(1.0), "p = 1"),
        (probability(None), "no test"),
        (count(272_474), "272 k"),
        (count(19_612), "19.6 k"),
        (count(1_394), "1.39 k"),
        (count(999.9), "1.00 k"),
        (count(999_900), "1.00 M"),
        (count(42), "42"),
        (round_count(2_000), "2 k"),
        (round_count(50), "50"),
        (duration(8.24), "8.2 s"),
        (duration(720), "12 min"),
        (duration(12_240), "3.4 h"),
        (listed(["a"]), "a"),
        (listed(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_a_number_is_said(said: str, expected: str) -> None:
    assert said == expected
