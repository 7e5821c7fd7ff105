from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from partae.callbacks import SparseBeginning
from partae.checks import InputError
from partae.nmf import SparseNMF
from tests.conftest import Compose


@pytest.mark.parametrize("resumed", [False, True])
def test_atoms_become_those_of_sparse_nmf_as_bright_as_before_unless_resumed(composed: Compose, resumed: bool) -> None:
    cfg = composed("decoder=max_times", "decoder.scale=4", "data=bars", "latent_dim=6")
    model, data = instantiate(cfg.model), instantiate(cfg.data)
    data.prepare_data()
    data.setup("fit")
    trainer: Any = SimpleNamespace(ckpt_path="last.ckpt" if resumed else None, datamodule=data)
    before = model.atoms.clone()
    callback = SparseBeginning(images=20, iterations=3, sparseness=0.5, seed=1)
    callback.on_fit_start(trainer, model)
    if resumed:
        assert torch.equal(model.atoms, before)
        return
    images = data.first("train", 20).flatten(1)
    found = SparseNMF(6, sparseness_of_code=0.5, max_iter=3, tol=0.0, random_state=1).fit(images).components_
    torch.testing.assert_close(model.atoms.flatten(1).amax(dim=1), before.flatten(1).amax(dim=1))
    torch.testing.assert_close(torch.cosine_similarity(model.atoms.flatten(1), found), torch.ones(6))


def test_a_wrong_argument_is_named() -> None:
    with pytest.raises(InputError, match=r"callbacks\.sparse_beginning\.iterations must be a whole number"):
        SparseBeginning(iterations=0)
