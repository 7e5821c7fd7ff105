from __future__ import annotations

import json
from pathlib import Path

import pytest

from partae.files import replacing, write_json


def test_a_file_is_written_with_its_folder(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "metrics.json", {"test/error": 0.5})
    assert json.loads((tmp_path / "new" / "metrics.json").read_text()) == {"test/error": 0.5}


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    file.write_text("old")

    def interrupted() -> None:
        with replacing(file) as beside:
            beside.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_json_cannot_hold_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "metrics.json", {"test/error": float("nan")})
    assert not list(tmp_path.iterdir())


def test_others_may_read_the_file_as_the_umask_says(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_json(tmp_path / "metrics.json", {})
    assert (tmp_path / "metrics.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
