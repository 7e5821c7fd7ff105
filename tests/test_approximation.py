from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Trainer

from partae import AutoEncoder
from partae.approximation import MaxApproximation, NoApproximation, Overlap
from partae.checks import InputError
from partae.data import DataModule
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.metrics import check_gains, measure
from partae.metrics.measures import named
from partae.morphology import OPERATORS, Operator, operate, read_operator
from partae.saving.specification import build, describe
from tests.conftest import Compose

SHAPE = (1, 9, 8)
LISTS = [[f"{name}:1"] for name in OPERATORS] + [["dilation:1", "opening:line:3@45", "gradient:corner=110.010.000"]]


def model(approximation: MaxApproximation | None = None) -> AutoEncoder:
    return AutoEncoder(Dense(SHAPE, 4), Dictionary(SHAPE, 4), approximation=approximation)


@pytest.mark.parametrize("operators", LISTS, ids=str)
def test_the_term_is_its_weight_times_the_measured_error_of_the_batch(operators: list[str]) -> None:
    term = MaxApproximation(operators, weight=0.25)
    autoencoder, images = model(term), torch.rand(6, *SHAPE)
    measures = measure(autoencoder, [(images, torch.zeros(6))], term.applied)
    names = [named("max_approximation_error", each) for each in term.applied]
    expected = 0.25 * sum(measures[name] for name in names) / len(names)
    code = autoencoder.encode(images)
    assert term(autoencoder, code, images).item() == pytest.approx(expected, rel=1e-5)
    assert term(autoencoder, code, images, operate(images, term.applied)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("operators", LISTS, ids=str)
def test_the_gradient_reaches_code_and_atoms(operators: list[str]) -> None:
    autoencoder = model().double()
    term, images = MaxApproximation(operators).double(), torch.rand(3, *SHAPE, dtype=torch.float64)

    def loss(code: torch.Tensor, atoms: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(
            _Term(autoencoder, term), {"autoencoder.decoder.atoms": atoms}, (code, images)
        )

    code = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    atoms = torch.randn(4, *SHAPE, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (code, atoms))


class _Term(torch.nn.Module):
    def __init__(self, autoencoder: AutoEncoder, term: MaxApproximation) -> None:
        super().__init__()
        self.autoencoder, self.term = autoencoder, term

    def forward(self, code: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.term(self.autoencoder, code, images)
        return value


def test_a_model_trained_for_a_footprint_of_a_file_is_built_without_the_file(tmp_path: Path) -> None:
    file = tmp_path / "corner.txt"
    file.write_text("1 1 0\n0 1 0\n0 0 0")
    trained = model(MaxApproximation([f"dilation:file:{file}"]))
    trained.gains = {str(each): 0.5 for each in trained.operators}
    specification = describe(trained)
    file.unlink()
    rebuilt = build(specification, AutoEncoder)
    assert rebuilt.operators == trained.operators == (read_operator("dilation:corner=110.010.000"),)
    assert check_gains(trained.gains) == trained.gains


def test_operators_are_applied_once_to_the_images_and_in_every_epoch_to_the_atoms(
    composed: Compose, garments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: dict[int, int] = {}

    def counted(images: torch.Tensor, operators: Sequence[Operator]) -> torch.Tensor:
        sizes[len(images)] = sizes.get(len(images), 0) + 1
        return operate(images, operators)

    monkeypatch.setattr("partae.data.datamodule.operate", counted)
    monkeypatch.setattr("partae.approximation.operate", counted)
    cfg = composed(
        f"data.source.root={garments}", "data.val_size=100", "latent_dim=5", "approximation=dilation",
        "approximation.weight=0.5",
    )  # fmt: skip
    autoencoder, data = instantiate(cfg.model), instantiate(cfg.data)
    trainer = Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(autoencoder, data)
    assert sizes == {300: 2, 100: 1}  # once to train and once to calibrate
    assert data.operators == (read_operator("dilation:1"),)
    images, _, operated = next(iter(data.train_dataloader()))
    torch.testing.assert_close(operated, operate(images, data.operators), rtol=0, atol=0)


def test_other_batches_are_pairs(garments: Path, composed: Compose) -> None:
    data: DataModule = instantiate(composed(f"data.source.root={garments}", "data.val_size=100").data)
    data.setup("fit")
    data.operate((read_operator("dilation:1"),))
    assert len(next(iter(data.batches("val")))) == 2
    assert len(next(iter(data.val_dataloader()))) == 3
    data.operate(NoApproximation.applied)
    assert len(next(iter(data.val_dataloader()))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operators": []}, r"approximation\.operators must be a list, as in \[dilation:1\]; got \[\]"),
        ({"operators": "dilation:1"}, r"approximation\.operators must be a list"),
        ({"operators": ["blur:1"]}, "operators must be among .* got 'blur'"),
        ({"weight": -1.0}, r"approximation\.weight .* got -1\.0"),
    ],
)
def test_bad_arguments_are_refused_by_key(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MaxApproximation(**arguments)  # type: ignore[arg-type]


def test_the_overlap_is_the_product_of_each_two_weighted_atoms() -> None:
    autoencoder, images, code = model(), torch.rand(6, *SHAPE), torch.randn(6, 4)
    weighted = (code[:, :, None] * autoencoder.atoms.flatten(1)).abs()  # (images, atoms, pixels)
    pairs = [
        (weighted[:, one] * weighted[:, other]).mean().item() for one in range(4) for other in range(4) if one != other
    ]
    assert Overlap(0.5)(autoencoder, code, images).item() == pytest.approx(0.5 * sum(pairs), rel=1e-5)


def test_disjoint_atoms_and_single_atoms_do_not_overlap() -> None:
    autoencoder, images = model(), torch.rand(4, *SHAPE)
    single = torch.eye(4)
    assert Overlap()(autoencoder, single, images).item() == pytest.approx(0, abs=1e-9)
    with torch.no_grad():
        autoencoder.atoms.zero_()
        autoencoder.atoms.flatten(1)[:, :4] = torch.eye(4)
    assert Overlap()(autoencoder, torch.rand(4, 4), images).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_atoms_overlap_less_where_that_is_asked_for(composed: Compose, garments: Path) -> None:
    overlaps = []
    for weight in (0, 1):
        cfg = composed(
            f"data.source.root={garments}", "data.val_size=100", "latent_dim=8", "approximation=overlap",
            f"approximation.weight={weight}",
        )  # fmt: skip
        torch.manual_seed(0)
        autoencoder, data = instantiate(cfg.model), instantiate(cfg.data)
        Trainer(max_epochs=20, accelerator="cpu", logger=False, enable_checkpointing=False).fit(autoencoder, data)
        images = data.sets["val"][0]
        overlaps.append(Overlap(1)(autoencoder, autoencoder.encode(images), images).item())
    assert overlaps[1] < 0.5 * overlaps[0]
