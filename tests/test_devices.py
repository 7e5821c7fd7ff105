"""A GPU computes what the CPU computes. Every test runs on the CPU too, so that none of it is first tried on a GPU.

`make gpu` runs these tests where there is a GPU.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

import partae
from partae import projection
from partae.data import Order, StreamedBatches
from partae.morphology import OPERATORS, Operator
from partae.nmf import SparseNMF
from partae.saving.checkpoints import read
from partae.sweep.evaluation import evaluate
from partae.sweep.stack import Member, Stack
from tests.conftest import Compose, Run
from tests.cuda.test_steps import LINES, NEEDED
from tests.data.test_streaming import Noted
from tests.events import logged
from tests.run.killing import differences
from tests.sweep.stack.test_lockstep import CASES, QUIET, batches, builder

ON_GPU = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")]
GPU = pytest.param("cuda", marks=ON_GPU)
# the scale of 16-mixed begins so large that the first steps may be left out
ignore_skipped_steps = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")
on_each_device = pytest.mark.parametrize("device", ["cpu", GPU])
BARS = ["data=bars", "data.source.train_size=60", "data.source.test_size=20", "data.val_size=20", "data.batch_size=10"]
BARS += ["latent_dim=4", "quiet=true", "callbacks.gallery.every_n_epochs=1"]


@on_each_device
@pytest.mark.filterwarnings("ignore:max_iter=20 came before tol")
@pytest.mark.parametrize(
    "choices",
    [
        [],
        pytest.param(["approximation=dilation", "constraint=hoyer"], marks=pytest.mark.slow),
        pytest.param(["model=asymmetric"], marks=pytest.mark.slow),
        pytest.param(["model=sparse_nmf", "model.estimator.max_iter=20"], marks=pytest.mark.slow),
    ],
    ids=lambda choices: choices[0] if choices else "default",
)
def test_a_run_ends_with_the_measures_of_the_cpu(device: str, choices: list[str], run: Run) -> None:
    there, here = (run(*choices, f"trainer.accelerator={name}") for name in (device, "cpu"))
    assert there == pytest.approx(here, rel=0.01)


@pytest.mark.parametrize(
    ("device", "line"),
    [
        ("cpu", "sparsity=l1"),
        ("cpu", "model=sparse_rbm"),
        *(pytest.param("cuda", line, marks=ON_GPU) for line in LINES if "corruption" not in line),
    ],
)
def test_every_choice_ends_with_the_measures_of_the_cpu(device: str, line: str, run: Run) -> None:
    """All but corruption and contrastive divergence, which a device draws by a generator of its own."""
    choices = f"{line} {NEEDED.get(line, '')}".split()
    there, here = (run(*choices, f"trainer.accelerator={name}") for name in (device, "cpu"))
    if here.pop("val/contrastive_divergence", None) is not None:
        del here["val/loss"]
    assert {key: there[key] for key in here} == pytest.approx(here, rel=0.02, abs=1e-6)


class Stop(Callback):
    """Breaks a training off in the middle of its second epoch."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (1, 1):
            raise ConnectionAbortedError


@on_each_device
def test_a_run_that_was_broken_off_goes_on_bit_for_bit(device: str, go_on: Run, tmp_path: Path) -> None:
    """It draws on the device what it would have drawn."""
    drawing = [*BARS, "corruption=masking", "callbacks=revival", f"trainer.accelerator={device}"]
    drawing += ["trainer.max_epochs=3", "encoder.activation=relu", "sparsity=l1"]
    expected = go_on(*drawing)
    (tmp_path / "run").rename(tmp_path / "straight")
    with pytest.raises(ConnectionAbortedError):
        go_on(*drawing, f"+callbacks.stop._target_={__name__}.Stop")
    torch.manual_seed(1)
    assert go_on(*drawing) == expected
    one, other = (read(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("straight", "run"))
    assert differences(one, other) == []
    assert ("cuda" in one["random"]) == (device == "cuda")


@on_each_device
@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_operators_and_their_gradients_are_those_of_the_cpu(device: str, name: str) -> None:
    atoms, weights = torch.rand(2, 20, 1, 28, 28)
    found = []
    for place in (device, "cpu"):
        given = atoms.to(place).requires_grad_()
        learnt, plain = Operator(name, 2)(given), Operator(name, 2)(given.detach())  # each is computed in its own way
        (gradient,) = torch.autograd.grad((learnt * weights.to(place)).sum(), given)
        found.append([result.detach().cpu() for result in (learnt, plain, gradient)])
    torch.testing.assert_close(*found, rtol=0, atol=1e-5)


@on_each_device
@pytest.mark.parametrize("sparseness", [0.3, 0.6, 0.9])
def test_hoyers_projection_is_that_of_the_cpu(device: str, sparseness: float) -> None:
    vectors = torch.randn(100, 784)
    there = projection.hoyer(vectors.to(device), sparseness).cpu()
    torch.testing.assert_close(there, projection.hoyer(vectors, sparseness), rtol=0, atol=1e-4)


@on_each_device
@pytest.mark.parametrize(
    "sparseness", [{}, {"sparseness_of_code": 0.6}, {"sparseness_of_atoms": 0.6}], ids=lambda each: " ".join(each)
)
def test_sparse_nmf_falls_as_on_the_cpu(device: str, sparseness: dict[str, Any]) -> None:
    images = torch.rand(200, 5) ** 3 @ torch.rand(5, 40) ** 3 + 0.05 * torch.rand(200, 40)
    histories = []
    for place in (device, "cpu"):
        nmf = SparseNMF(5, max_iter=10, tol=0, random_state=0, **sparseness).fit(images.to(place))
        assert nmf.components_.device.type == place
        histories.append(nmf.objective_history_)
    assert histories[0] == pytest.approx(histories[1], rel=1e-3)


@on_each_device
@pytest.mark.parametrize(
    ("precision", "dtype", "atol"), [("32-true", torch.float64, 1e-9), ("bf16-mixed", torch.float32, 5e-3)]
)
def test_a_stack_equals_its_models_trained_alone(device: str, precision: str, dtype: torch.dtype, atol: float) -> None:
    case, images = CASES["kl, nonnegative, adam"], batches(dtype)
    options = QUIET | {"accelerator": device, "precision": precision, "max_epochs": 4, "limit_val_batches": 0}
    members = [Member(builder(case)(index).to(dtype)) for index in range(4)]
    Trainer(**options).fit(Stack(members, case.constraints), images, images)
    for index, member in enumerate(members):
        alone = builder(case)(index).to(dtype)
        Trainer(**options, callbacks=list(case.constraints)).fit(alone, images, images)
        for stacked, expected in zip(member.model.cpu().parameters(), alone.cpu().parameters(), strict=True):
            torch.testing.assert_close(stacked, expected, rtol=0, atol=atol)


@ignore_skipped_steps
@pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("cpu", "bf16-mixed"),
        pytest.param("cuda", "bf16-mixed", marks=ON_GPU),
        pytest.param("cuda", "16-mixed", marks=ON_GPU),
    ],
)
def test_mixed_precision_trains_and_measures_in_single_precision(
    device: str, precision: str, run: Run, tmp_path: Path
) -> None:
    """With a learning rate of 0, both runs measure one model."""
    still = ["optimizer.lr=0", "sparsity.beta=1", f"trainer.accelerator={device}"]
    single = run(*still), logged(tmp_path / "run")["train/sparsity"]
    mixed = run(*still, f"trainer.precision={precision}"), logged(tmp_path / "run")["train/sparsity"]
    assert mixed[0] == pytest.approx(single[0], rel=1e-6)
    assert mixed[1] == pytest.approx(single[1], rel=0.02)
    assert mixed[1] != single[1]


@ignore_skipped_steps
@pytest.mark.parametrize(
    ("device", "model", "precision"),
    [
        ("cpu", "autoencoder", "64-true"),
        pytest.param("cpu", "kmeans", "64-true", marks=pytest.mark.slow),
        pytest.param("cpu", "pca", "64-true", marks=pytest.mark.slow),
        pytest.param("cpu", "autoencoder", "bf16-mixed", marks=pytest.mark.slow),
        *(pytest.param("cuda", "autoencoder", each, marks=ON_GPU) for each in ("64-true", "bf16-mixed", "16-mixed")),
    ],
)
def test_a_run_in_another_precision_resumes_loads_and_is_evaluated(
    device: str, model: str, precision: str, composed: Compose, go_on: Run, tmp_path: Path
) -> None:
    options = [*BARS, f"model={model}", f"trainer.precision={precision}", f"trainer.accelerator={device}"]
    folder = tmp_path / "run"
    go_on(*options, "trainer.max_epochs=1", "svm=quick")
    measures = go_on(*options, "trainer.max_epochs=2", "comparison=true")
    assert 0 < measures["test/part_recovery"] <= 1
    loaded = partae.load(folder)
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}
    (found,) = evaluate(composed(*BARS[:4], f"ckpt={folder}", "quiet=true", config="evaluate")).measures.values()
    assert found["test/reconstruction_error"] == pytest.approx(measures["test/reconstruction_error"], rel=1e-2)


@on_each_device
def test_streamed_batches_arrive_on_the_device(device: str) -> None:
    batches_there = StreamedBatches(Noted(12), torch.arange(12), 5, Order(12, seed=1), torch.device(device), 2)
    for found, labels in batches_there:
        assert found.device.type == device
        torch.testing.assert_close(found.cpu().flatten() * 12, labels.cpu().float())


def test_every_test_that_needs_a_gpu_is_in_this_file() -> None:
    """It is the file that `make gpu` runs."""
    needing = [file for file in Path(__file__).parent.rglob("*.py") if re.search(r"mark\.cuda\b", file.read_text())]
    assert needing == [Path(__file__)]
