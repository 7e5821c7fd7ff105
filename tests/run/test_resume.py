"""A run that is killed and resumed is the run that never stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from hydra import compose, initialize
from pytorch_lightning import Callback, LightningModule, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from partae.callbacks import Checkpoint
from partae.run.training import train
from partae.saving.checkpoints import read
from tests.conftest import YAMLS, log_into

TINY = ["data=bars", "data.source.train_size=250", "data.source.test_size=50", "data.val_size=50", "data.batch_size=40"]
SILENT = ["~callbacks.progress", "+trainer.enable_progress_bar=false"]
# plasticity and pruning keep state of their own: the sparse phase begins before the kill and ends after it
RUN = [*TINY, "latent_dim=6", "model=nnsae", "callbacks=dense_sparse_dense", "callbacks.pruning.begin=1"]
RUN += ["callbacks.pruning.end=3", "trainer.max_epochs=4", "callbacks.gallery.every_n_epochs=2"]
RUN += SILENT
# what is drawn at random in training, and what is found out in one epoch for the next
DRAWN = [*TINY, "latent_dim=6", "sparsity=l1", "sparsity.beta=0.01", "encoder.activation=relu", "corruption=gaussian"]
DRAWN += ["callbacks=revival", "callbacks.revival.until=1", "callbacks.revival.frequency=0.9", "trainer.max_epochs=4"]
DRAWN += SILENT
SAMPLED = [*TINY, "latent_dim=6", "model=sparse_rbm", "trainer.max_epochs=4", *SILENT]
PLACES = {"seconds", "dirpath", "best_model_path", "last_model_path", "kth_best_model_path", "best_k_models"}


class Kill(Callback):
    """Kills its process as an operator would, before a batch of an epoch is trained on."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.epoch, self.batch = epoch, batch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            os.kill(os.getpid(), signal.SIGKILL)


class KillAtSaving(Kill):
    """Kills its process when the content of a checkpoint is gathered, after ``batch`` other ones of its epoch."""

    saved = 0

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.current_epoch == self.epoch:
            if self.saved == self.batch:
                self.kill()
            self.saved += 1

    def kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class KillAtWriting(KillAtSaving):
    """Kills its process when half of a checkpoint is on the disk."""

    def kill(self) -> None:
        Path.write_bytes = self.half  # type: ignore[assignment, method-assign]

    @staticmethod
    def half(path: Path, content: memoryview) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


class KillAtTest(Kill):
    """Kills its process when all is trained, and nothing is tested."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def in_a_process(work: Callable[[], object]) -> int:
    """Do ``work`` in a process of its own; its exit status, negative if a signal ended it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            torch.set_num_threads(1)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def trained(folder: Path, kill: Kill | None = None, *changes: str, run: Sequence[str] = tuple(RUN)) -> int:
    """Train ``run`` in ``folder``, in a process of its own that ``kill`` may end; its exit status."""
    places = [f"callbacks.checkpoint.dirpath={folder / 'checkpoints'}"]
    killing = []
    if kill:
        killing = [f"+callbacks.kill.{key}={value}" for key, value in vars(kill).items()]
        killing += [f"+callbacks.kill._target_={__name__}.{type(kill).__name__}"]
    with initialize(version_base="1.3", config_path="../../conf"):
        root = f"trainer.default_root_dir={folder}"
        cfg = log_into(folder, compose("train", overrides=[*run, *places, root, *killing, *changes]))
    return in_a_process(lambda: train(cfg, folder))


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("straight")
    assert trained(folder) == 0
    return folder


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a run: the steps of each tag, with the values of scalars."""
    accumulator = EventAccumulator(str(folder), {"images": 0, "histograms": 0, "scalars": 0}).Reload()
    tags = cast("dict[str, list[str]]", accumulator.Tags())
    shown = {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in tags["scalars"]}
    shown |= {tag: [(event.step, 0.0) for event in accumulator.Images(tag)] for tag in tags["images"]}
    return shown | {tag: [(event.step, 0.0) for event in accumulator.Histograms(tag)] for tag in tags["histograms"]}


def measures(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    assert found.pop("wall_time") > 0
    return found


def differences(one: Any, other: Any, key: str = "") -> list[str]:
    """The keys at which two checkpoints differ in a bit, but for where they lie and the time they took."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [name for name in {**one, **other} if name not in PLACES]
        return [found for name in keys for found in differences(one.get(name), other.get(name), f"{key}.{name}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for place, pair in pairs for found in differences(*pair, f"{key}.{place}")]
    tensors = [isinstance(each, torch.Tensor) for each in (one, other)]
    same = torch.equal(one, other) if all(tensors) else not any(tensors) and one == other
    return [] if same else [key]


KILLS = [Kill(2, 3), Kill(2, 0), Kill(3, 4), KillAtSaving(2, 0), KillAtTest(0, -1)]
KILLS += [KillAtSaving(3, 1), KillAtWriting(2, 0)]  # between the best and the last checkpoint; and within one
SLOW = [pytest.param(kill, marks=pytest.mark.slow) for kill in KILLS[1:]]


@pytest.mark.parametrize("kill", [KILLS[0], *SLOW], ids=lambda kill: f"{type(kill).__name__}-{kill.epoch}-{kill.batch}")
def test_a_killed_run_goes_on_bit_for_bit(kill: Kill, straight: Path, tmp_path: Path) -> None:
    assert trained(tmp_path, kill) == -signal.SIGKILL
    assert not (tmp_path / "metrics.json").exists()
    assert trained(tmp_path) == 0
    assert {file.name for file in (tmp_path / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    for name in ("last.ckpt", "best.ckpt"):
        one, other = (read(folder / "checkpoints" / name) for folder in (straight, tmp_path))
        assert differences(one, other) == []
        assert one["optimizer_states"]
        assert one["lr_schedulers"]
        assert any("DenseSparseDense" in key for key in one["callbacks"])
    assert measures(tmp_path) == measures(straight)
    assert events(tmp_path) == events(straight)
    assert [step for step, _ in events(tmp_path)["train/loss"]] == [4, 9, 14, 19]


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(DRAWN, id="noise and revival"),
        pytest.param([*DRAWN, "corruption=masking"], id="masks and revival", marks=pytest.mark.slow),
        pytest.param(SAMPLED, id="Gibbs sampling", marks=pytest.mark.slow),
    ],
)
def test_what_is_drawn_after_a_kill_is_what_would_have_been_drawn(run: list[str], tmp_path: Path) -> None:
    for name, kill in (("straight", None), ("killed", Kill(2, 3)), ("killed", None)):
        assert trained(tmp_path / name, kill, run=run) == (-signal.SIGKILL if kill else 0)
    one, other = (read(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("straight", "killed"))
    assert differences(one, other) == []
    if run is not SAMPLED:
        (revival,) = [state for key, state in one["callbacks"].items() if "Revival" in key]
        assert len(revival["dead"])
    assert measures(tmp_path / "killed") == measures(tmp_path / "straight")


BARS = [*TINY, "latent_dim=6", "trainer.max_epochs=2", *SILENT]
# what a choice needs, to be one that can be trained and has something to do in two epochs
NEEDED: dict[tuple[str, str], list[str]] = {
    ("sparsity", "intrinsic_plasticity"): ["encoder.activation=logistic"],
    ("sparsity", "l0"): ["encoder/activation=jump_relu"],
    ("encoder/activation", "topk"): ["sparsity=none"],
    ("encoder/activation", "batch_topk"): ["sparsity=none", "encoder.activation.l0=2"],
    ("encoder/activation", "jump_relu"): ["sparsity=l1"],
    ("encoder", "matching_pursuit"): ["sparsity=none", "decoder.biased=false", "encoder.l0=2"],
    ("encoder", "unrolled"): ["encoder.activation=sigmoid"],
    ("reconstruction", "bce"): ["decoder.activation=sigmoid"],
    ("callbacks", "dense_sparse_dense"): ["callbacks.pruning.begin=0", "callbacks.pruning.end=2"],
    ("callbacks", "revival"): ["callbacks.revival.until=1", "callbacks.revival.frequency=0.9"],
    ("constraint", "hoyer"): ["constraint.hoyer.bias=true"],
    ("constraint", "unit_norm"): ["constraint.unit_norm.bias=true"],
}
# others: images and devices that are not here, no logger or one that is not here, no checkpoints, and estimators, which
# learn in one step
ALIKE = {("trainer", name) for name in ("ddp", "gpu", "mps")} | {("callbacks", "none")}
ALIKE |= {("logger", name) for name in ("none", "mlflow", "wandb")}
ALIKE |= {*((group, name) for group, name in YAMLS if group == "data")}
ESTIMATORS = ("dictionary_learning", "factorization", "fastica", "kmeans", "nmf", "pca", "sparse_nmf")
ALIKE |= {("model", name) for name in ESTIMATORS}
QUICK = {("constraint", "hoyer"), ("constraint", "unit_norm")}


@pytest.mark.parametrize(
    ("group", "name"),
    [
        pytest.param(*choice, marks=() if choice in QUICK else pytest.mark.slow)
        for choice in YAMLS
        if choice not in ALIKE
    ],
)
def test_a_killed_run_of_any_choice_goes_on_bit_for_bit(group: str, name: str, tmp_path: Path) -> None:
    run = [*BARS, f"{group}={name}", *NEEDED.get((group, name), [])]
    for folder, kill in (("straight", None), ("killed", Kill(1, 0)), ("killed", None)):
        assert trained(tmp_path / folder, kill, run=run) == (-signal.SIGKILL if kill else 0)
    one, other = (read(tmp_path / folder / "checkpoints" / "last.ckpt") for folder in ("straight", "killed"))
    assert differences(one, other) == []


def test_a_run_that_was_moved_remembers_its_best_checkpoint(tmp_path: Path) -> None:
    run = [*RUN, "callbacks.checkpoint.monitor=val/dead_atoms"]  # the same in each epoch: the first remains the best
    run += ["callbacks.checkpoint.filename='{epoch}-{val/loss:.3f}'"]  # which lies in a folder, by its slash
    assert trained(tmp_path / "straight", run=run) == 0
    assert trained(tmp_path / "killed", Kill(3, 1), run=run) == -signal.SIGKILL
    (tmp_path / "killed").rename(tmp_path / "moved")
    assert trained(tmp_path / "moved", run=run) == 0
    (one,), (other,) = ((tmp_path / name / "checkpoints").glob("*/*.ckpt") for name in ("straight", "moved"))
    assert read(one)["epoch"] == read(other)["epoch"] == 0
    assert differences(read(one), read(other)) == []


def test_what_a_gpu_draws_goes_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"before": torch.arange(4, dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: states["before"])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.update({str(device): state}))
    callback = Checkpoint()
    callback.started = 0.0
    gpu = SimpleNamespace(root_device=torch.device("cuda", 1))
    trainer: Any = SimpleNamespace(strategy=gpu, loggers=[], callback_metrics={})
    model = LightningModule()  # which is on the CPU still when its checkpoint is read
    checkpoint: dict[str, Any] = {}
    callback.on_save_checkpoint(trainer, model, checkpoint)
    callback.on_load_checkpoint(trainer, model, checkpoint)
    assert states["cuda:1"].equal(states["before"])


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with one epoch left to train, and its last checkpoint only."""
    folder = tmp_path_factory.mktemp("stopped")
    assert trained(folder, Kill(3, 1)) == -signal.SIGKILL
    (folder / "checkpoints" / "best.ckpt").unlink()
    return folder


@pytest.fixture
def stopped(stopped_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped_once, tmp_path / "stopped"))


def change(file: Path, *keys: Any, to: Any) -> None:
    """Change what a checkpoint says at some keys, one within another; ``...`` takes it away."""
    checkpoint = torch.load(file, weights_only=True)
    place = checkpoint
    for depth, key in enumerate(keys, start=1):
        own = next(name for name in place if "Checkpoint" in name) if key == "Checkpoint" else key
        if depth < len(keys):
            place = place[own]
        elif to is ...:
            del place[own]
        else:
            place[own] = to
    torch.save(checkpoint, file)


@pytest.mark.parametrize("place", ["local://{precious}", "{folder}/link/folder.ckpt"])
def test_a_checkpoint_deletes_nothing(place: str, stopped: Path, tmp_path: Path) -> None:
    folder, precious = stopped / "checkpoints", tmp_path / "precious"
    (precious / "folder.ckpt").mkdir(parents=True)
    (precious / "thesis.ckpt").touch()
    (folder / "link").symlink_to(precious)  # which a command refuses before (`partae.run.run_folder`)
    path = place.format(precious=precious, folder=folder)
    changes = dict.fromkeys(("last_model_path", "best_model_path", "kth_best_model_path"), path)
    scores = {path: torch.tensor(9.0), f"{folder}/link/thesis.ckpt": torch.tensor(9.0)}
    for key, value in {**changes, "best_k_models": scores}.items():
        change(folder / "last.ckpt", "callbacks", "Checkpoint", key, to=value)
    if place.startswith("local"):
        change(folder / "last.ckpt", "callbacks", "Checkpoint", "dirpath", to=...)
    assert trained(stopped) == 0
    assert {each.name for each in precious.iterdir()} == {"folder.ckpt", "thesis.ckpt"}


WEIGHT = ("state_dict", "decoder.atoms")
MOMENT = ("optimizer_states", 0, "state", 0, "exp_avg")


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (WEIGHT, torch.zeros(6, 1, 9, 9), "does not fit this run: RuntimeError: .* size mismatch for decoder.atoms"),
        (WEIGHT, ..., 'does not fit this run: RuntimeError: .* Missing key.s. in state_dict: "decoder.atoms"'),
        (WEIGHT, torch.full((6, 1, 8, 8), torch.nan), "training diverged in epoch 3"),
        (MOMENT, torch.zeros(1), "last.ckpt holds a state of an optimizer whose exp_avg fits no parameter"),
        (
            (*MOMENT[:-1], "step"),
            torch.zeros(0),
            "last.ckpt holds a state of an optimizer whose step fits no parameter",
        ),
        (("optimizer_states", 0, "param_groups", 0, "lr"), "high", "last.ckpt does not fit this run"),
        (("optimizer_states",), [5], "last.ckpt does not fit this run"),
        (("lr_schedulers", 0), {"step": 5}, "last.ckpt does not fit this run"),
        (("loops",), {"fit_loop": {"epoch_progress": 3}}, "last.ckpt does not fit this run"),
        (("random",), {}, "last.ckpt does not fit this run: KeyError: 'cpu'"),
        (("callbacks", "Checkpoint"), {"best_k_models": 3}, "last.ckpt does not fit this run"),
    ],
)
def test_what_a_run_cannot_go_on_from_is_one_message(
    keys: tuple[Any, ...], value: Any, words: str, stopped: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    change(stopped / "checkpoints" / "last.ckpt", *keys, to=value)
    assert trained(stopped) == 1  # and no signal of a process that crashed
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert re.match(f"partae.checks.InputError: .*{words}", error)
    assert not (stopped / "metrics.json").exists()


def test_a_truncated_last_checkpoint_is_replaced_when_the_run_goes_on(straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    assert trained(tmp_path, Kill(3, 1)) == -signal.SIGKILL
    os.truncate(folder / "last.ckpt", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the process that trains, where it would be an error
        assert trained(tmp_path) == 0
    one, other = (read(place / "last.ckpt") for place in (straight / "checkpoints", folder))
    assert differences(one, other) == []
    assert measures(tmp_path) == measures(straight)
