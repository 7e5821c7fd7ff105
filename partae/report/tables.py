"""Tables of measures as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Cell = str | float


def table(rows: Sequence[Mapping[str, Cell]]) -> str:
    """A text table: a line for each row, a column for each key; numbers have four digits and stand on the right.

    >>> print(table([{"beta": "0.1", "error": 0.5}, {"beta": "0.001", "error": 0.0125}]))
    beta      error
    0.1      0.5000
    0.001   0.01250
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))
    columns = []
    for key in keys:
        cells = [row.get(key, "") for row in rows]
        texts = [key, *(cell if isinstance(cell, str) else number(cell) for cell in cells)]
        width = max(map(len, texts))
        right = any(not isinstance(cell, str) for cell in cells)
        columns.append([text.rjust(width) if right else text.ljust(width) for text in texts])
    return "\n".join("   ".join(line).rstrip() for line in zip(*columns, strict=True))


def number(value: float) -> str:
    """A number to four significant digits; a whole number, and one that is not finite, as it is.

    >>> [number(value) for value in (0.0164, 18.24, 1e-7, 5.0, 0, float("nan"))]
    ['0.01640', '18.24', '1.000e-07', '5', '0', 'nan']
    """
    return f"{value:.0f}" if float(value).is_integer() else f"{value:#.4g}"
