from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import partae
from partae import dilation
from partae.checks import InputError
from partae.data import Bars
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.model.boltzmann import SparseDBN, SparseRBM
from partae.run.training import train
from partae.saving.specification import describe, restore
from partae.sparsity import L2, NoSparsity
from tests.conftest import BARS, Compose, Run

SHAPE = (1, 2, 3)


def machine(beta: float = 0.0, p: float = 0.1, shape: tuple[int, ...] = SHAPE, units: int = 4) -> SparseRBM:
    rbm = SparseRBM(
        Dense(shape, units, tied=True), Dictionary(shape, units, "sigmoid"), L2(beta, p) if beta else NoSparsity()
    )
    with torch.no_grad():
        rbm.bias.normal_()
        rbm.encoder.last.bias.normal_()
    return rbm.double()


def images(count: int = 7) -> Tensor:
    return torch.rand(count, *SHAPE, dtype=torch.float64)


def test_the_free_energy_is_the_sum_over_all_states_of_the_units() -> None:
    rbm, batch = machine(), images()
    energies = [
        -(batch.flatten(1) @ rbm.bias.flatten())
        - torch.tensor(units, dtype=torch.float64) @ rbm.encoder.last.bias
        - (batch.flatten(1) @ rbm.atoms.flatten(1).T @ torch.tensor(units, dtype=torch.float64))
        for units in product((0.0, 1.0), repeat=4)
    ]
    torch.testing.assert_close(rbm.free_energy(batch), -torch.stack(energies).neg().logsumexp(dim=0))


def test_the_gradient_is_that_of_contrastive_divergence() -> None:
    rbm, batch = machine(), images()
    with torch.random.fork_rng():
        sampled = rbm.sample(batch)
    rbm.losses(batch)["contrastive_divergence"].backward()
    expected = {name: torch.zeros((), dtype=torch.float64) for name in ("atoms", "units", "pixels")}
    for pixels, sign in ((batch.flatten(1), -1), (sampled.flatten(1), 1)):
        units = torch.sigmoid(F.linear(pixels, rbm.atoms.flatten(1), rbm.encoder.last.bias)).detach()
        expected["atoms"] = expected["atoms"] + sign * (units.T @ pixels / len(batch))
        expected["units"] = expected["units"] + sign * units.mean(dim=0)
        expected["pixels"] = expected["pixels"] + sign * pixels.mean(dim=0)
    gradients = {"atoms": rbm.atoms, "units": rbm.encoder.last.bias, "pixels": rbm.bias}
    for name, parameter in gradients.items():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad.view_as(expected[name]), expected[name])


def test_the_penalty_is_on_the_whole_batch_where_processes_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rbm, batch, theirs = machine(beta=2.0), images(), torch.rand(5, 4, dtype=torch.float64)
    monkeypatch.setattr(rbm, "of_all_processes", lambda code: torch.cat([code, theirs]))
    expected = rbm.sparsity(torch.cat([rbm.encoder(batch, rbm.atoms), theirs]))
    torch.testing.assert_close(rbm.losses(batch)["sparsity"], expected)


def test_training_makes_the_images_likely_and_the_units_as_active_as_asked() -> None:
    batch, _ = Bars(size=4, train_size=300, test_size=1).load("train")
    batch = batch.double()
    rbm = machine(beta=20.0, p=0.15, shape=(1, 4, 4), units=8)
    optimizer = torch.optim.Adam(rbm.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        torch.stack(list(rbm.losses(batch).values())).sum().backward()
        optimizer.step()
    assert (rbm.encode(batch).mean(dim=0) - 0.15).abs().max() < 0.05
    noise = batch.flatten()[torch.randperm(batch.numel())].view_as(batch)
    assert rbm.free_energy(batch).mean() < rbm.free_energy(noise).mean() - 1
    assert F.mse_loss(rbm.reconstruct(batch), batch) < batch.var()


@pytest.mark.parametrize("name", ["sparse_rbm", "sparse_dbn"])
def test_a_run_leaves_a_model_with_all_verbs(name: str, composed: Compose, tmp_path: Path) -> None:
    small = ["data=bars", "latent_dim=6", "data.source.train_size=300", "trainer.max_epochs=4"]
    measures = train(composed(f"model={name}", *small, "trainer.accelerator=cpu"), tmp_path / "run")
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written.pop("wall_time") > 0
    assert written == measures
    for ckpt in (tmp_path / "run", tmp_path / "run" / "checkpoints" / "best.ckpt"):
        model = partae.load(ckpt)
        assert isinstance(model, SparseRBM)
        batch, _ = Bars(train_size=300).load("test")
        code = model.encode(batch)
        torch.testing.assert_close(model.reconstruct(batch), model.decode(code))
        expected = model.decode(code, dilation(1)(model.atoms))
        torch.testing.assert_close(model.render(code, dilation(1)), expected)
        expected = (model.gains["dilation:1"] * expected).clip(0, 1)
        torch.testing.assert_close(model.max_approximation(batch, dilation(1)), expected)
    error = F.mse_loss(partae.load(tmp_path / "run").reconstruct(batch), batch).item()
    assert measures["test/reconstruction_error"] == pytest.approx(error, rel=1e-4)


def test_the_second_machine_learns_after_the_first() -> None:
    network = SparseDBN(
        Dense(SHAPE, 4, tied=True), Dictionary(SHAPE, 4, "sigmoid"), machine(shape=(4, 1, 1), units=3).float()
    )
    batch = images().float()
    for is_deep, learning, resting in ((False, "decoder", "top"), (True, "top", "decoder")):
        network.is_deep = is_deep
        network.zero_grad()
        torch.stack(list(network.losses(batch).values())).sum().backward()
        assert all(parameter.grad is not None for parameter in getattr(network, learning).parameters())
        assert all(parameter.grad is None for parameter in getattr(network, resting).parameters())
        loaded = restore(describe(network), network.state_dict(), SparseDBN)
        torch.testing.assert_close(loaded.encode(batch), network.encode(batch))
    assert network.top_code(batch).shape == (7, 3)
    assert network.encode(batch).shape == (7, 4)


def test_other_parts_are_refused() -> None:
    with pytest.raises(InputError, match=r"needs encoder\.tied=true; got false"):
        SparseRBM(Dense(SHAPE, 4), Dictionary(SHAPE, 4, "sigmoid"))
    with pytest.raises(InputError, match=r"needs decoder\.activation=sigmoid; got leaky_relu"):
        SparseRBM(Dense(SHAPE, 4, tied=True), Dictionary(SHAPE, 4))
    with pytest.raises(InputError, match=r"model\.steps"):
        SparseRBM(Dense(SHAPE, 4, tied=True), Dictionary(SHAPE, 4, "sigmoid"), steps=0)


def test_a_network_needs_a_half_of_the_epochs_for_each_machine(go_on: Run) -> None:
    with pytest.raises(InputError, match=r"choose an even trainer\.max_epochs; got 3"):
        go_on(*BARS, "model=sparse_dbn", "model.top.encoder.latent_dim=3", "trainer.max_epochs=3")
