from __future__ import annotations

from pathlib import Path

import pytest

from partae.run.resolvers import job_folder, new_folder, sweep_folder
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


def test_jobs_of_other_overrides_have_other_folders() -> None:
    overrides = ["a-x/y", "a-x_y", "a-x y", "a-" + 300 * "x", "a-" + 301 * "x", ""]
    folders = [job_folder(each) for each in overrides]
    assert len(set(folders)) == len(folders)
    assert all(0 < len(folder) <= 255 for folder in folders)


def test_two_commands_of_one_second_get_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [new_folder("default", "2024-05-01_12-00-00") for _ in range(3)]
    assert folders == [f"outputs/default/2024-05-01_12-00-00{suffix}" for suffix in ("", "_2", "_3")]
    assert all(Path(folder).is_dir() for folder in folders)
