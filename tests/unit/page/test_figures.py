"""The figures of a page, and how they are written."""

from fractions import Fraction

import pytest

from pressbox.page import figures


def test_230_of_254_are_90_point_6_per_cent():
    assert figures.percent(Fraction(230, 254), 1) == "90.6%"
    # Rounded twice, and by the binary number that 0.9055 is, it was less.
    assert f"{100 * round(230 / 254, 4):.1f}%" == "90.5%"


@pytest.mark.parametrize("rows", [1, 8, 144, 254, 2000, 4999])
def test_each_share_is_rounded_once_and_halves_go_up(rows):
    for right in range(rows + 1):
        tenths = (2000 * right + rows) // (2 * rows)
        assert figures.percent(Fraction(right, rows), 1) == f"{tenths // 10}.{tenths % 10}%"
        # The four digits that a statement holds of a share are enough to find it again.
        assert figures.counted(round(right / rows, 4), rows) == Fraction(right, rows)


@pytest.mark.parametrize(
    ("number", "digits", "shown"),
    [(0.9055, 3, "0.906"), (0.125, 2, "0.13"), (1, 3, "1.000"), (1e-07, 2, "0.00"), (2.5, 0, "3")],
)
def test_a_float_stands_for_the_decimal_it_is_written_as(number, digits, shown):
    assert figures.written(number, digits) == shown


def test_scores_are_those_of_the_counts():
    evaluation = {
        "order": ["boxing", "cricket", "golf"],
        "confusion": [[5, 0, 3], [0, 0, 0], [1, 0, 2]],
    }
    found = figures.quality({"rows": 11, "accuracy": 0.6364, "macro_f1": 0.0}, evaluation)
    assert (found.right, found.rows, found.accuracy) == (7, 11, Fraction(7, 11))
    boxing = figures.Scores(Fraction(5, 6), Fraction(5, 8), Fraction(10, 14), 8)
    golf = figures.Scores(Fraction(2, 5), Fraction(2, 3), Fraction(4, 8), 3)
    nothing = figures.Scores(Fraction(0), Fraction(0), Fraction(0), 0)
    assert found.labels == {"boxing": boxing, "cricket": nothing, "golf": golf}
    # A label that is neither there nor told takes no part.
    assert found.macro_f1 == (boxing.f1 + golf.f1) / 2


def test_without_an_evaluation_the_metrics_say_how_many_were_right():
    found = figures.quality({"rows": 144, "accuracy": 0.6736, "macro_f1": 0.6766}, None)
    assert found == figures.Quality(97, 144, 0.6766, {})


def test_small_numbers_have_two_digits_and_a_power_of_ten():
    assert figures.scientific(3.158e-10) == ("3.2", "\N{MINUS SIGN}10")
    assert figures.scientific(12.0) == ("1.2", "1")
