from __future__ import annotations

import pytest

from partae.report import number, table


def test_columns_line_up_and_missing_cells_are_empty() -> None:
    lines = table([{"p": "0.1", "error": 0.5}, {"p": "0.05"}, {"p": "0.2", "dead": 3.0}]).splitlines()
    assert lines == ["p       error   dead", "0.1    0.5000", "0.05", "0.2                3"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0164, "0.01640"), (18.24, "18.24"), (5.0, "5"), (0.0, "0"), (1e-7, "1.000e-07")]
)
def test_numbers_have_four_significant_digits(value: float, text: str) -> None:
    assert number(value) == text
