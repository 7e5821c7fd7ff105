from __future__ import annotations

from partae.report import table


def test_columns_line_up_and_missing_cells_are_empty() -> None:
    lines = table([{"p": "0.1", "error": 0.5}, {"p": "0.05"}, {"p": "0.2", "dead": 3.0}]).splitlines()
    assert lines == ["p       error   dead", "0.1    0.5000", "0.05", "0.2                3"]
