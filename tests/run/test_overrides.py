from __future__ import annotations

from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from partae.run.overrides import is_harmless, quote


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"])) | st.floats() | st.integers() | st.none() | st.booleans()
)
def test_values_are_quoted_as_hydra_reads_them(value: Any) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"a={quote([value])}"])
    assert repr(override.value()) == repr([value])


@pytest.mark.parametrize(
    "override",
    [
        "sparsity._target_=os.system",
        "+callbacks.evil={_target_:os.system,command:'touch marker'}",
        "+callbacks.evil=[{a:{_target_:os.system}}]",
        "+callbacks.evil=${oc.decode:'{_target_:os.system}'}",
        "+callbacks.evil={a:'${oc.env:HOME}'}",
        "sparsity=../../tmp/evil",
        "+sparsity@model.evil=../../tmp/evil",
        "constraint=[nonnegative,../evil]",
        "hydra.searchpath=[/tmp/evil]",
        "+hydra/launcher=submitit_local",
        "sparsity@hydra.job=l1",
        "--config-dir=/tmp/evil",
        "-m",
        "logger.csv.save_dir=/tmp/elsewhere",
        "logger.mlflow.tracking_uri=http://evil.example",
        "logger.wandb={project:evil}",
        "+trainer.profiler.dirpath=/tmp/elsewhere",
        "trainer.profiler={filename:../../other}",
        "callbacks.checkpoint.dirpath=/tmp/elsewhere",
        "callbacks.checkpoint={filename:../../other}",
        "+logger={save_dir:/tmp/elsewhere}",
        "trainer.default_root_dir=/tmp/elsewhere",
    ],
)
def test_an_override_of_a_stranger_that_could_do_harm_is_known(override: str) -> None:
    assert not is_harmless(override)


@pytest.mark.parametrize(
    "override",
    ["sparsity.beta=0.1", "logger=[csv,tensorboard]", "debug=profiler", "trainer.profiler=simple", "callbacks=none"],
)
def test_an_override_that_sets_a_value_or_chooses_a_yaml_is_harmless(override: str) -> None:
    assert is_harmless(override)
