"""The figures of a page, from the counts that a statement holds, and how they are written.

A share is rounded once, where it is written: 230 of 254 is 90.6%, and its 0.9055 in the metrics
would be 90.5%.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

Number = int | float | Fraction


@dataclass(frozen=True)
class Scores:
    """How well one label is told: shares from 0 to 1. rows: texts of it that it was tested on."""

    precision: Fraction
    recall: Fraction
    f1: Fraction
    rows: int


@dataclass(frozen=True)
class Quality:
    """The shares behind the metrics. labels: in the order of the evaluation; empty without one."""

    right: int
    rows: int
    macro_f1: Number
    labels: dict[str, Scores]

    @property
    def accuracy(self) -> Fraction:
        return Fraction(self.right, self.rows)


def quality(metrics: dict, evaluation: dict | None) -> Quality:
    """From the details of ``evaluation.evaluate``; without them, as far as the metrics go."""
    rows = int(metrics["rows"])
    if not evaluation:
        right = round(metrics["accuracy"] * rows)
        return Quality(right, rows, metrics["macro_f1"], {})
    confusion = evaluation["confusion"]
    columns = list(map(sum, zip(*confusion, strict=True)))
    labels = {
        label: _scores(row[number], columns[number], sum(row))
        for number, (label, row) in enumerate(zip(evaluation["order"], confusion, strict=True))
    }
    occurring = [
        each.f1 for each, told in zip(labels.values(), columns, strict=True) if each.rows or told
    ]
    right = sum(row[number] for number, row in enumerate(confusion))
    return Quality(right, sum(columns), sum(occurring) / Fraction(len(occurring)), labels)


def _scores(hits: int, told: int, rows: int) -> Scores:
    """Of a label of ``rows`` texts, which ``told`` were said to be of, ``hits`` rightly."""
    precision, recall, f1 = map(share, (hits, hits, 2 * hits), (told, rows, told + rows))
    return Scores(precision, recall, f1, rows)


def share(part: int, whole: int) -> Fraction:
    # What was never told, or never there, was not told right either.
    return Fraction(part, whole) if whole else Fraction(0)


def exact(number: Number) -> Fraction:
    """The number; a float stands for the decimal it is written as."""
    return Fraction(str(number))


def counted(rounded: float, rows: int) -> Fraction:
    """The share of so many rows of which only the rounded number is known."""
    return Fraction(round(rounded * rows), rows)


def written(number: Number, digits: int) -> str:
    """With so many decimals, halves rounded away from zero."""
    value = exact(number)
    value = Decimal(value.numerator) / value.denominator
    return str(value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def percent(share: Number, digits: int = 0) -> str:
    return f"{written(100 * exact(share), digits)}%"


def scientific(number: float) -> tuple[str, str]:
    """Two digits of the number, and the power of ten that they are multiplied by."""
    digits, exponent = f"{number:.1e}".split("e")
    return digits, str(int(exponent)).replace("-", "\N{MINUS SIGN}")
