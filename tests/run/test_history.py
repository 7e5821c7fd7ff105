from __future__ import annotations

from pathlib import Path

from partae.run.history import read_history
from tests.conftest import Run


def test_each_term_of_the_loss_has_a_curve_whatever_the_model_calls_it(go_on: Run, tmp_path: Path) -> None:
    options = ["data=bars", "data.source.train_size=40", "data.source.test_size=20", "data.val_size=10", "latent_dim=4"]
    go_on(*options, "model=sparse_rbm", "trainer.max_epochs=2", "quiet=true", "~callbacks.gallery")
    history = read_history(tmp_path / "run")
    assert history.keys() == {"Loss", "Sparsity", "Contrastive divergence"}
    steps, values = history["Contrastive divergence"]["training"]
    assert len(steps) == len(values) == 2
