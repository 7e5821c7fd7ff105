"""The pages: what they say, and how large they are."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from partae import AutoEncoder
from partae.data import Bars
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.morphology import Operator
from partae.report.run_page import _show_atoms
from tests.report.conftest import ATOMS, EVALUATED, HOSTILE, bars, data_of, model, page_of_a_run


def test_the_page_of_a_run_holds_measures_in_words_and_what_was_published() -> None:
    page = page_of_a_run()
    text = " ".join(re.sub(r"<[^>]+>", " ", page.partition("<main>")[2].partition("</main>")[0]).split())
    assert "a &amp; b" in text
    words = (
        "Mean squared difference between the reconstruction and the image; lower is better 0.01390 0.0123 at least 0"
    )
    assert f"Reconstruction error {words}" in text
    assert "L0" in text
    assert "loss" not in text
    by_quick, by_report = (
        page_of_a_run(measures={"test/svm_accuracy": 0.8, **more}) for more in ({}, {"test/svm_c": 0.1})
    )
    assert "fitted to the training images" in by_quick
    assert "fitted to the training images" not in by_report
    assert "SVM accuracy" in by_report
    assert "Published" not in page_of_a_run(published={}).partition("<main>")[2]


def test_usage_strongest_images_and_contributions_are_those_of_the_model() -> None:
    data = data_of(page_of_a_run())
    images = bars()
    code = model().encode(images).detach().numpy()
    atoms = data["atoms"]
    assert atoms["number"] == list(range(ATOMS))
    np.testing.assert_allclose(atoms["mean"], code.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(atoms["usage"], (code > 0.01 * code.max()).mean(axis=0), atol=1e-4)
    np.testing.assert_allclose([each[0] for each in atoms["strength"]], code.max(axis=0), atol=1e-4)
    assert sum(atoms["share"]) == pytest.approx(1, abs=0.01)
    assert np.sum(data["examples"]["contribution"], axis=1) == pytest.approx(1, abs=0.01)
    assert data["examples"]["names"] == list(Bars.classes)


def test_text_cannot_leave_its_place(page_of_a_sweep: Any) -> None:
    row = {"key": HOSTILE, "test/x": 1.0, "status": "finished", "folder": HOSTILE}
    for page in (
        page_of_a_run(title=HOSTILE, examples={HOSTILE: bars()[0]}),
        page_of_a_sweep([row]).read_text(),
    ):
        assert HOSTILE not in page
        assert page.count("</script>") == 2


def test_nothing_comes_from_elsewhere(page_of_a_sweep: Any) -> None:
    elsewhere = r"(src|href)=\"(?!data:)|url\((?!data:|\$)|@import|https?://(?!www\.w3\.org/2000/svg)"
    for page in (page_of_a_run(), page_of_a_sweep().read_text()):
        assert "default-src 'none'" in page
        assert not re.search(elsewhere, page)


@pytest.mark.slow
def test_many_large_atoms_still_make_a_light_page(page_of_a_sweep: Any) -> None:
    shape, count = (1, 96, 96), 120
    large = AutoEncoder(Dense(shape, count), Dictionary(shape, count)).eval()
    page = page_of_a_run(model=large, images=torch.rand(50, *shape), examples={"one": torch.rand(shape)})
    assert len(page) < 5_000_000
    data = data_of(page)
    assert data["atoms"]["total"] == count
    assert 5 < len(data["atoms"]["number"]) < count
    many = {f"run{number}": np.random.default_rng(number).random((100, 1, 28, 28)) for number in range(30)}
    runs = [{"a": str(number), "test/x": 1.0, "status": "finished", "folder": f"run{number}"} for number in range(30)]
    assert len(page_of_a_sweep(runs, many).read_bytes()) < 5_000_000


def test_a_sweep_is_drawn_across_what_was_varied_and_says_how_to_measure_a_run(page_of_a_sweep: Any) -> None:
    data = data_of(page_of_a_sweep().read_text())
    assert set(data["keys"]) == {"sparsity.p", "sparsity.beta"}
    run, evaluated = data["runs"][:2]
    assert run["evaluate"].endswith(" ckpt=sweep/p-0.01__beta-0.001")
    assert run["report"] is run["atoms"] is run["command"] is None
    assert evaluated["command"].endswith(" data=bars sparsity.p=0.01")
    assert evaluated["report"] == f"{EVALUATED}/evaluation/report.html"
    assert evaluated["atoms"]["count"] == evaluated["atoms"]["total"] == ATOMS


def test_a_measure_that_is_no_number_is_shown_as_such(page_of_a_sweep: Any) -> None:
    assert "nan" in page_of_a_run(measures={"test/explained_variance": float("nan")})
    row = {"a": "1", "test/x": float("inf"), "status": "finished", "folder": "f"}
    assert data_of(page_of_a_sweep([row]).read_text())["runs"][0]["measures"] == {"x": None}


def test_the_images_that_use_an_atom_most_are_those_of_its_largest_entries_in_size() -> None:
    code = torch.tensor([[0.5], [-2.0], [1.0]])
    shown = _show_atoms(torch.ones(1, 1, 4, 4), Operator("dilation", 1), code, lambda at: torch.rand(len(at), 1, 4, 4))
    assert shown["strength"] == [[-2.0, 1.0, 0.5]]
