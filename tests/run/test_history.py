from __future__ import annotations

from pathlib import Path

from partae.run.history import read_history
from tests.conftest import BARS, Run


def test_each_term_of_the_loss_has_a_curve_whatever_the_model_calls_it(go_on: Run, tmp_path: Path) -> None:
    go_on(*BARS, "model=sparse_rbm", "trainer.max_epochs=2", "~callbacks.gallery")
    history = read_history(tmp_path / "run")
    assert history.keys() == {"Loss", "Sparsity", "Contrastive divergence"}
    steps, values = history["Contrastive divergence"]["training"]
    assert len(steps) == len(values) == 2
