"""Every yaml of every group composes and instantiates; every penalty behaves as a penalty."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize
from hydra.errors import ConfigCompositionException
from hydra.plugins.launcher import Launcher
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

import partae.sweep  # noqa: F401  (what conf/ calls)
from partae.activation import ANYTHING
from partae.report.published import published_measures
from partae.sparsity import L0
from tests.conftest import CONF, WHOLE, YAMLS, log_into

EXPERIMENTS = sorted(f"{group}={file.stem}" for group in WHOLE for file in (CONF / group).glob("*.yaml"))
TABLE_1 = sorted(file.stem for file in (CONF / "experiment" / "table_1").glob("*.yaml"))
ROWS = "experiment/table_1@_global_"
UNPUBLISHED = {"beyond_sparse_nmf", "kl_p0.05_beta0.005", "kl_p0.01_beta0.001", "kl_p0.01_beta0.01"}


def rows_of(experiment: str) -> list[str]:
    """The rows of table 1 that an experiment trains."""
    sweep = OmegaConf.load(CONF / "experiment" / f"{experiment}.yaml").hydra.sweeper.params
    return str(sweep[ROWS]).split(",")


def composed(*overrides: str) -> DictConfig:
    places = ["trainer.default_root_dir=."]
    with initialize(version_base="1.3", config_path="../conf"):
        cfg = log_into(Path(), compose("train", overrides=[*places, *overrides]))
    if cfg.callbacks.checkpoint:
        cfg.callbacks.checkpoint.dirpath = None
    return cfg


@pytest.mark.parametrize("name", [name for folder, name in YAMLS if folder == "model"])
def test_every_model_has_the_losses_that_it_names(name: str) -> None:
    model = instantiate(composed(f"model={name}", "data=bars", "data.source.size=8", "latent_dim=4").model)
    assert tuple(model.eval().losses(torch.rand(3, 1, 8, 8))) == model.terms


def names(group: str) -> list[str]:
    return [name for folder, name in YAMLS if folder == group]


def test_the_groups_the_experiments_and_all_rows_are_found() -> None:
    groups = {
        "data",
        "model",
        "encoder",
        "encoder/activation",
        "decoder",
        "sparsity",
        "constraint",
        "optimizer",
        "trainer",
    }
    assert groups <= {group for group, _ in YAMLS}
    assert {"experiment=table_1", "experiment=figure_8", "debug=limit"} <= set(EXPERIMENTS)
    assert sorted({*rows_of("table_1"), *rows_of("table_1_asymmetric")}) == TABLE_1


@pytest.fixture
def needed(images_of_odd_sizes: Path, some_arrays: Path) -> dict[tuple[str, str], list[str]]:
    """The overrides that a choice cannot do without."""
    return {
        ("data", "arrays"): [f"data.source.root={some_arrays}"],
        ("data", "folder"): [f"data.source.root={images_of_odd_sizes}", "data.source.size=[8,6]"],
        ("data", "torchvision"): ["data.source.dataset=CIFAR10", "data.image_shape=[3,32,32]"],
    }


@pytest.mark.parametrize(("group", "name"), YAMLS)
def test_every_yaml_composes_and_instantiates(group: str, name: str, needed: dict[tuple[str, str], list[str]]) -> None:
    cfg = composed(f"{group}={name}", *needed.get((group, name), []))
    if name in ("mlflow", "wandb"):
        pytest.skip("tests/test_loggers.py trains with it, where its package is installed")
    if group == "trainer":
        cfg.trainer.accelerator = "cpu"  # there may be no other
    assert instantiate(OmegaConf.select(cfg, group.replace("/", "."))) is not None


@pytest.mark.parametrize(("group", "name"), YAMLS)
def test_every_yaml_opens_with_the_command_that_runs_it(group: str, name: str) -> None:
    lines = (CONF / group / f"{name}.yaml").read_text().splitlines()
    assert lines[lines[0].startswith("# @package")].startswith("# python ")


@pytest.mark.parametrize(
    "file", sorted((CONF / "hydra").glob("*/*.yaml")), ids=lambda file: f"{file.parent.name}={file.stem}"
)
def test_every_yaml_for_hydra_itself_composes(file: Path) -> None:
    group, script = f"hydra/{file.parent.name}", "evaluate" if file.stem == "evaluate" else "train"
    with initialize(version_base="1.3", config_path="../conf"):
        cfg = compose(script, overrides=[f"{group}={file.stem}"], return_hydra_config=True).hydra
    assert cfg.runtime.choices[group] == file.stem
    if file.parent.name == "launcher":
        assert isinstance(instantiate(cfg.launcher), Launcher)


def check_builds(cfg: DictConfig) -> None:
    for group in ("model", "data", "constraint", "callbacks", "logger", "trainer"):
        assert instantiate(cfg[group]) is not None
    assert instantiate(cfg.optimizer)([nn.Parameter(torch.zeros(1))]).param_groups


@pytest.mark.parametrize("choice", EXPERIMENTS)
def test_every_experiment_composes_and_instantiates(choice: str) -> None:
    check_builds(composed(choice))


@pytest.mark.parametrize("row", TABLE_1)
def test_every_row_of_table_1_composes_and_has_its_published_measures(row: str) -> None:
    cfg = composed("experiment=table_1", f"{ROWS}={row}")
    check_builds(cfg)
    assert bool(published_measures(cfg)) == (row not in UNPUBLISHED)
    assert cfg.latent_dim == 100
    assert bool(cfg.constraint) == (row not in ("none", "sparse_nmf"))


@pytest.mark.parametrize("row", rows_of("table_1_asymmetric"))
def test_every_asymmetric_row_composes_and_joins_the_same_table(row: str) -> None:
    cfg = composed("experiment=table_1_asymmetric", f"{ROWS}={row}")
    check_builds(cfg)
    assert cfg.encoder["_target_"] == "partae.encoder.Conv"
    assert published_measures(cfg) == {}
    assert cfg.name == OmegaConf.load(CONF / "experiment" / "table_1.yaml").name


LEADERBOARD = CONF / "experiment" / "leaderboard"


def test_the_leaderboard_sweeps_over_all_of_its_models() -> None:
    params = OmegaConf.load(LEADERBOARD.with_suffix(".yaml")).hydra.sweeper.params
    swept = str(params["experiment/leaderboard@_global_"]).split(",")
    assert sorted(swept) == sorted(file.stem for file in LEADERBOARD.glob("*.yaml"))
    images = str(params["experiment/images@_global_"]).split(",")
    known = {file.stem for file in (CONF / "experiment" / "images").glob("*.yaml")}
    assert set(images) == known - {"mnist"}, "which not everybody has"


@pytest.mark.parametrize("row", [file.stem for file in sorted(LEADERBOARD.glob("*.yaml"))])
@pytest.mark.parametrize("images", ["digits", "fashion_mnist"])
def test_every_row_of_the_leaderboard_composes(row: str, images: str) -> None:
    chosen = [f"experiment/leaderboard@_global_={row}", f"experiment/images@_global_={images}", "latent_dim=25"]
    cfg = composed("experiment=leaderboard", *chosen)
    check_builds(cfg)
    epochs = OmegaConf.load(CONF / "experiment" / "images" / f"{images}.yaml").trainer.max_epochs
    assert cfg.trainer.max_epochs == epochs, "the images decide, not the model"
    assert cfg.name == "leaderboard", "all rows lie in one folder"


@pytest.mark.parametrize("name", [name for name in names("constraint") if name != "none"])
def test_messages_call_a_constraint_as_the_command_line_does(name: str) -> None:
    assert instantiate(composed(f"constraint={name}").constraint)[name].name == name


@pytest.mark.parametrize(("group", "name"), [pair for pair in YAMLS if pair[0] in ("sparsity", "decay", "schedule")])
def test_the_values_of_a_yaml_are_the_defaults_of_its_class(group: str, name: str) -> None:
    cfg = composed(f"{group}={name}")[group]
    parameters = inspect.signature(get_class(cfg["_target_"])).parameters
    assert {key: value for key, value in cfg.items() if key != "_target_"} == {
        key: parameter.default for key, parameter in parameters.items() if key in cfg or group == "schedule"
    }


@pytest.mark.parametrize(
    ("group", "name"), [pair for pair in YAMLS if pair[0] in ("sparsity", "decay", "approximation")]
)
def test_a_printed_module_shows_the_values_of_its_yaml(group: str, name: str) -> None:
    cfg = composed(f"{group}={name}")[group]
    values = ", ".join(f"{key}={value}" for key, value in cfg.items() if key != "_target_")
    assert repr(instantiate(cfg)) == f"{cfg['_target_'].rpartition('.')[2]}({values})"


def test_a_mistyped_key_is_refused_by_name() -> None:
    with pytest.raises(ConfigCompositionException, match=r"sparsity\.betta"):
        composed("sparsity.betta=0.1")


def built(group: str) -> list[nn.Module]:
    return [instantiate(composed(f"{group}={name}")[group]).double() for name in names(group)]


def code(batch: int = 12) -> Tensor:
    return torch.rand(batch, 5, dtype=torch.float64).mul(0.8).add(0.1)


def atoms() -> Tensor:
    return torch.randn(4, 1, 3, 3, dtype=torch.float64)


def is_none(penalty: nn.Module) -> bool:
    return type(penalty).__name__ in ("NoSparsity", "NoDecay", "IntrinsicPlasticity")


def check_promises(penalty: nn.Module, argument: Tensor) -> None:
    """A penalty is a finite scalar, at least 0, with the right gradient, which lowers it."""
    value = penalty(argument)
    assert value.shape == ()
    assert torch.isfinite(value)
    assert value >= 0
    if is_none(penalty):
        assert value == 0
        return
    assert torch.autograd.gradcheck(penalty, argument.clone().requires_grad_())
    free = argument.clone().requires_grad_()
    optimizer = torch.optim.Adam([free], lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        penalty(free).backward()
        optimizer.step()
        free.data.clamp_(*getattr(penalty, "code_range", ANYTHING))
    assert penalty(free) < value


@pytest.mark.parametrize("penalty", built("sparsity"), ids=names("sparsity"))
def test_every_sparsity_is_a_penalty(penalty: nn.Module) -> None:
    if not isinstance(penalty, L0):  # whose gradient is an estimate
        check_promises(penalty, code())
    batch = code()
    torch.testing.assert_close(penalty(torch.cat([batch, batch])), penalty(batch))


@pytest.mark.parametrize("penalty", built("decay"), ids=names("decay"))
def test_every_decay_is_a_penalty(penalty: nn.Module) -> None:
    check_promises(penalty, atoms())
    assert penalty(torch.zeros_like(atoms())) == 0
