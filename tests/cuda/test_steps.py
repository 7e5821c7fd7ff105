"""A training step with each choice of conf/ stays on its device, never waits for it, and gives the same each time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer

from partae.activation import ACTIVATIONS
from partae.data import Batches, Order
from tests.conftest import Compose
from tests.cuda.device import CUDA, Counts, Device

CONF = Path(__file__).parents[2] / "conf"
QUIET: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
QUIET |= {"enable_model_summary": False, "num_sanity_val_steps": 0, "limit_val_batches": 0}
STEPS = 2  # of an epoch
GROUPS = ["sparsity", "decay", "approximation", "reconstruction", "corruption", "encoder", "decoder", "constraint"]
GROUPS += ["optimizer", "schedule"]
NEEDED = {
    "sparsity=intrinsic_plasticity": "encoder.activation=logistic",
    "reconstruction=bce": "decoder.activation=sigmoid",
    "encoder=unrolled": "sparsity=l1",
    "encoder=matching_pursuit": "sparsity=none decoder.biased=false",
    "sparsity=l0": "encoder/activation=jump_relu",
    "model=sparse_dbn": "model.top.encoder.latent_dim=3",
}
LINES = [f"{group}={file.stem}" for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]
LINES += [f"encoder.activation={name} decoder.activation={name} sparsity=l1" for name in ACTIVATIONS]
LINES += [f"encoder/activation={name} sparsity=none" for name in ("topk", "batch_topk")]
LINES += [f"model={name}" for name in ("asymmetric", "nnsae", "sparse_rbm", "sparse_dbn")]
LINES += ["encoder.tied=true", "encoder.hidden=[7] encoder.batch_norm=true", "constraint=[nonnegative,unit_norm]"]
LINES += ["constraint=hoyer constraint.hoyer.bias=true", "callbacks=revival"]
LINES += [f"callbacks=dense_sparse_dense callbacks.pruning.target={target}" for target in ("atoms", "code")]
LINES += ["callbacks=dense_sparse_dense callbacks.pruning.share=null callbacks.pruning.threshold=0.1"]


def refused() -> re.Pattern[str]:
    """The operators that PyTorch refuses where only deterministic ones are allowed, as its documentation lists them."""
    _, _, listed = str(torch.use_deterministic_algorithms.__doc__).partition("operations will throw a")
    found = re.findall(r":(?:class|func):`torch\.(?:nn\.)?(?:functional\.|Tensor\.)?(\w+)`", listed)
    snakes = {re.sub(r"(?<=[a-z])(?=[A-Z])|(?=Loss)", "_", name).lower() for name in found}
    names = {"upsample", *snakes} - {"scatter_reduce"}  # which is refused for products only
    return re.compile(f"_?({'|'.join(sorted(names))})")


REFUSED = refused()


def steps_of(device: Device, cfg: DictConfig) -> list[Counts]:
    """The steps of two epochs on the device, without the first one of each, which fetches the order."""
    model, shape = instantiate(cfg.model), instantiate(cfg.data).image_shape
    callbacks: list[Callback] = list(instantiate(cfg.constraint or {}).values())
    callbacks += [instantiate(cfg.callbacks[name]) for name in ("revival", "pruning") if name in cfg.callbacks]
    images = torch.rand(10 * STEPS, *shape).to(CUDA)
    batches = Batches(images, torch.zeros(len(images), dtype=torch.long).to(CUDA), 10, Order(len(images), seed=0))
    trainer = Trainer(accelerator="gpu", max_epochs=2, callbacks=callbacks, deterministic=True, **QUIET)
    trainer.fit(model, batches, batches)
    assert model.atoms.isfinite().all()
    return [step for number, step in enumerate(device.steps) if number % STEPS]


@pytest.mark.parametrize(
    "name", ["avg_pool3d_backward", "upsample_linear1d_backward", "nll_loss_forward", "_ctc_loss", "put_"]
)
def test_operators_that_pytorch_refuses_are_known(name: str) -> None:
    assert REFUSED.match(name)
    assert not REFUSED.match("index_put")


@pytest.mark.parametrize("line", LINES)
def test_a_step_of_every_choice_stays_on_the_device(line: str, composed: Compose, device: Device) -> None:
    needed = [word for key in line.split() for word in NEEDED.get(key, "").split()]
    small = ["data=bars", "data.source.size=8", "latent_dim=4"]
    steps = steps_of(device, composed(*small, *line.split(), *needed))
    assert len(steps) == 2 * (STEPS - 1)
    for step in steps:
        assert step.launches
        assert not step.waits
        assert not step.draws
        assert not step.scalars
        assert not [name for name in step.launches if REFUSED.match(name)]
