from __future__ import annotations

from pathlib import Path

import pytest

from partae.sweep.folders import new_folder


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("outputs").symlink_to(tmp_path / "gone")
    with pytest.raises(OSError, match="outputs"):
        new_folder("default", "now")
