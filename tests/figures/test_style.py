from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from partae import figures


def test_the_style_of_the_caller_is_left_alone() -> None:
    with matplotlib.rc_context({"font.size": 31, "image.cmap": "hot"}):
        figures.atoms(np.ones((1, 1, 2, 2)))
        assert matplotlib.rcParams["font.size"] == 31
        assert matplotlib.rcParams["image.cmap"] == "hot"


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_a_figure_is_saved_in_both_formats(suffix: str, tmp_path: Path) -> None:
    figures.save(figures.atoms(np.ones((4, 1, 5, 5))), str(tmp_path / "atoms"))
    content = (tmp_path / f"atoms{suffix}").read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix])
    assert len(list(tmp_path.iterdir())) == 2
