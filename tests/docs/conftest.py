"""A run and a sweep, trained once for all commands that need one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import type_in
from tests.docs.shown import SHORT


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of a run and of a sweep."""
    here = tmp_path_factory.mktemp("here")
    for arguments in (["hydra.run.dir=run"], ["-m", "seed=0,1", "hydra.sweep.dir=sweep"]):
        assert type_in("train.py", [*arguments, *SHORT], here).status == 0
    return here / "run", here / "sweep"
