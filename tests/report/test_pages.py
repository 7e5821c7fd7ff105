"""The pages: what they say, how large they are, and what they do in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from partae import AutoEncoder, dilation
from partae.data import Bars
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.figures import image_rows, save
from partae.metrics.view import view_batch
from partae.report import Portrait, render_run
from partae.sweep.sweep_page import write_page

SHAPE, ATOMS = (1, 8, 8), 20
HOSTILE = "</script><script>document.title = 'taken'</script>"


def bars() -> torch.Tensor:
    images, _ = Bars(test_size=60).load("test")
    return torch.as_tensor(images)


def model() -> AutoEncoder:
    torch.manual_seed(1)
    return AutoEncoder(Dense(SHAPE, ATOMS), Dictionary(SHAPE, ATOMS)).eval()


def page_of_a_run(figures: dict[str, Path] | None = None, **changes: Any) -> str:
    seen, images = changes.pop("model", None) or model(), changes.pop("images", bars())
    examples = changes.pop("examples", None) or dict(zip(Bars.classes, images, strict=False))
    portrait = Portrait(
        seen.atoms.detach(),
        seen.encode(images).detach(),
        view_batch(seen, torch.stack(list(examples.values())), [dilation(1)]),
        {"test/reconstruction_error": 0.0139, "test/l0": 3.5, "val/loss": 1.0},
    )
    arguments: dict[str, Any] = {
        "title": "a & b",
        "portrait": portrait._replace(**{key: changes.pop(key) for key in Portrait._fields if key in changes}),
        "names": list(examples),
        "operator": dilation(1),
        "read": images.__getitem__,
        "published": {"reconstruction_error": 0.0123},
        "figures": figures or {},
        "provenance": {"Command": f"python train.py name={HOSTILE}", "Settings": "seed: 0"},
        **changes,
    }
    return render_run(**arguments)


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def rows_of_a_sweep() -> list[dict[str, Any]]:
    rows = []
    for number, (p, beta) in enumerate((p, beta) for p in ("0.01", "0.1") for beta in ("0.001", "0.01", "0.1")):
        measures = {"test/reconstruction_error": 0.01 * (number + 1), "test/hoyer_sparsity": 0.9 - 0.1 * number}
        row = {"data": "bars", "sparsity.p": p, "sparsity.beta": beta, "seed": "0", **measures, "val/loss": 3.0}
        rows.append({**row, "wall_time": 60.0, "status": "finished", "folder": f"p-{p}__beta-{beta}"})
    unfinished = {"data": "bars", "sparsity.p": "0.1", "sparsity.beta": "1", "seed": "0", "status": "unfinished"}
    return [*rows, {**unfinished, "folder": "last"}]


EVALUATED = "p-0.01__beta-0.01"
ROWS, ATOMS_OF_RUNS = rows_of_a_sweep(), {EVALUATED: np.ones((ATOMS, *SHAPE))}


@pytest.fixture
def page_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the page of ``tmp_path / "sweep"``, whose runs have the given atoms."""

    def write(rows: list[dict[str, Any]] = ROWS, atoms: Mapping[str, np.ndarray] = ATOMS_OF_RUNS) -> Path:
        monkeypatch.chdir(tmp_path)
        report = Path("sweep", EVALUATED, "evaluation", "report.html")
        report.parent.mkdir(parents=True)
        report.write_text(page_of_a_run())
        overrides = Path("sweep", EVALUATED, ".hydra", "overrides.yaml")
        overrides.parent.mkdir()
        overrides.write_text("[data=bars, sparsity.p=0.01]")
        return write_page(Path("sweep"), rows, atoms).resolve()

    return write


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


def fits(tab: Any) -> bool:
    """Whether nothing but what scrolls by itself is wider than the window."""
    return bool(tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def pressed(tab: Any, key: str) -> int:
    """Press a key; the number of the atom that has the focus then."""
    tab.keyboard.press(key)
    return int(tab.evaluate("document.activeElement.dataset.atom"))


@pytest.mark.slow
def test_a_run_in_a_browser(tab: Any, tmp_path: Path) -> None:
    save(image_rows({"original": bars()[:3].numpy()}, Bars.classes), tmp_path / "figure")
    (tmp_path / "report.html").write_text(page_of_a_run({"A figure": tmp_path / "figure.png"}))
    tab.goto((tmp_path / "report.html").as_uri())
    assert fits(tab)
    assert tab.evaluate("document.querySelector('figure img').naturalWidth") > 100

    # a click shows an atom large, with its usage, its strongest images and its dilation
    tab.click("#atoms [data-atom='7']")
    for text in ("Atom 7", "its dilation, radius 1", "used by"):
        assert text in tab.inner_text("#atom")
    assert tab.locator("#atom .few figure").count() == 8
    assert tab.locator("#atoms [aria-pressed='true']").count() == 1

    # so do the keys: Tab stops once, arrows move among the atoms
    tab.select_option("#order", "number")
    order = tab.evaluate("[...document.querySelectorAll('#atoms button')].map((one) => Number(one.dataset.atom))")
    assert order == list(range(ATOMS))
    tab.focus("#order")
    keys = (("Tab", 0), ("ArrowRight", 1), ("ArrowLeft", 0), ("ArrowLeft", 0), ("End", ATOMS - 1), ("Home", 0))
    assert [pressed(tab, key) for key, _ in keys] == [step for _, step in keys]
    below = pressed(tab, "ArrowDown")
    top, left = tab.evaluate("[document.activeElement.offsetTop, document.activeElement.offsetLeft]")
    first = tab.evaluate(
        "(({offsetTop, offsetLeft}) => [offsetTop, offsetLeft])(document.querySelector('#atoms button'))"
    )
    assert (top > first[0], left) == (True, first[1])
    tab.keyboard.press("Enter")
    assert f"Atom {below}" in tab.inner_text("#atom")
    tab.keyboard.press("Tab")
    assert "data-image" in tab.evaluate("document.activeElement.outerHTML")

    # an image's code as bars, and a bar's atom
    tab.click("#examples button:nth-child(2)")
    assert Bars.classes[1] in tab.inner_text("#example")
    assert tab.locator("#example .bars button").count() == ATOMS
    tab.click("#example .bars button:nth-child(12)")
    assert "Atom 11" in tab.inner_text("#atom")
    tab.click("#example .few button")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") in tab.inner_text("#atom")


@pytest.mark.slow
def test_a_sweep_in_a_browser(tab: Any, page_of_a_sweep: Any) -> None:
    page = page_of_a_sweep()
    tab.goto(page.as_uri())
    assert fits(tab)
    assert tab.inner_text("#x option:checked") == "sparsity.beta"
    assert tab.locator("#panels svg").count() == 2
    assert tab.locator("#panels svg:first-child .curve").count() == 2
    assert tab.locator("#panels svg:first-child .point").count() == 6

    # a point's run is one click away
    point = "#panels svg:first-child .point[data-run='1']"
    tab.click(point)
    assert "sparsity.p 0.01, sparsity.beta 0.01" in tab.inner_text("#run")
    assert "0.02" in tab.inner_text("#run")
    assert tab.locator("#run .atoms .tile").count() == ATOMS
    assert tab.locator("#runs tr.chosen[data-run='1']").count() == 1
    tab.focus(point)
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    assert "sparsity.p 0.01, sparsity.beta 0.1" in tab.inner_text("#run")
    assert "ckpt=" in tab.inner_text("#run")
    assert tab.locator("#panels .band").count() == 4
    tab.select_option("#series", label="nothing")
    assert tab.locator(f"{point}, .point.chosen[data-run='2']").count() == 3

    # a table to sort, with some atoms of each run
    assert tab.locator("#runs tr[data-run='1'] .tile").count() == 6
    assert tab.locator("#runs .tile").count() == 6, "the other runs have no checkpoint"
    errors = ["0.01000", "0.02000", "0.03000", "0.04000", "0.05000", "0.06000"]
    column = tab.locator("#runs td:nth-child(3)")
    assert column.all_inner_texts() == [*errors, ""]
    tab.click("#runs th:nth-child(3) button")
    tab.keyboard.press("Enter")
    assert column.all_inner_texts() == [*reversed(errors), ""]
    assert tab.get_attribute("#runs th:nth-child(3)", "aria-sort") == "descending"
    tab.click("#runs tbody tr:nth-child(3) td")
    assert tab.inner_text("#run h3") == "sparsity.p 0.1, sparsity.beta 0.001"

    # the report of a run is one click more
    tab.click("#runs tr[data-run='1'] td")
    tab.click("#report")
    tab.wait_for_url((page.parent / EVALUATED / "evaluation" / "report.html").as_uri())


@pytest.mark.slow
def test_words_are_dots_over_labels_with_the_deviation_of_their_seeds(tab: Any, page_of_a_sweep: Any) -> None:
    runs = [
        {"sparsity": word, "seed": str(seed), "test/x": 0.1 * seed + size, "test/same": 0.5, "status": "finished",
         "folder": f"{word}{seed}"}
        for word, size in (("kl", 1), ("l1", 2)) for seed in (0, 1)
    ]  # fmt: skip
    tab.goto(page_of_a_sweep(runs, {}).as_uri())
    assert tab.input_value("#x") == "sparsity"
    assert tab.locator("#panels svg").count() == 1, "a measure that is the same everywhere has no panel"
    assert {"kl", "l1"} <= set(tab.locator("#panels svg text").all_text_contents())
    assert tab.locator("#panels line.curve").count() == 2
    assert tab.locator("#panels polyline").count() == 0
