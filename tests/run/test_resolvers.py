from __future__ import annotations

from pathlib import Path

import pytest

from partae.run.resolvers import new_folder, sweep_folder
from tests.conftest import Compose


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("outputs").symlink_to(tmp_path / "gone")
    with pytest.raises(OSError, match="outputs"):
        new_folder("default", "now")


def test_a_number_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, composed: Compose) -> None:
    monkeypatch.chdir(tmp_path)
    name = composed("name=2024").name
    assert new_folder(name, "now") == "outputs/2024/now"
    assert sweep_folder(name, "now") == "outputs/2024"
