"""The pages: what they say, how large they are, and what they do in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
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
from partae.report import run_page, sweep_page
from tests.browser import Page, chromium, needs_chromium

SHAPE, ATOMS = (1, 8, 8), 20
HOSTILE = "</script><script>document.title = 'taken'</script>"


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    images, labels = Bars(test_size=60).load("test")
    return [(images[:40], labels[:40]), (images[40:], labels[40:])]


def model() -> AutoEncoder:
    torch.manual_seed(1)
    return AutoEncoder(Dense(SHAPE, ATOMS), Dictionary(SHAPE, ATOMS)).eval()


def page_of_a_run(figures: dict[str, Path] | None = None, **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "title": "a & b",
        "model": model(),
        "batches": batches(),
        "examples": dict(zip(Bars.classes, batches()[0][0], strict=False)),
        "operator": dilation(1),
        "measures": {"test/reconstruction_error": 0.0139, "test/l0": 3.5, "val/loss": 1.0},
        "published": {"reconstruction_error": 0.0123},
        "figures": figures or {},
        **changes,
    }
    return run_page(**arguments)


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def rows() -> list[dict[str, Any]]:
    found = []
    for number, (p, beta) in enumerate((p, beta) for p in ("0.01", "0.1") for beta in ("0.001", "0.01", "0.1")):
        measures = {"test/reconstruction_error": 0.01 * (number + 1), "test/hoyer_sparsity": 0.9 - 0.1 * number}
        row = {"data": "bars", "sparsity.p": p, "sparsity.beta": beta, "seed": "0", **measures, "val/loss": 3.0}
        row["wall_time"] = 60.0 + number
        found.append({**row, "status": "finished", "folder": f"p-{p}__beta-{beta}"})
    unfinished = {"data": "bars", "sparsity.p": "0.1", "sparsity.beta": "1", "seed": "0", "status": "unfinished"}
    found.append({**unfinished, "folder": "last"})
    return found


def page_of_a_sweep(**changes: Any) -> str:
    atoms = {"p-0.01__beta-0.01": np.random.default_rng(0).random((ATOMS, *SHAPE))}
    reports = {"p-0.01__beta-0.01": "p-0.01__beta-0.01/evaluation/report.html"}
    arguments: dict[str, Any] = {"title": "s", "rows": rows(), "atoms": atoms, "reports": reports, "figures": {}}
    arguments |= changes
    evaluate = {row["folder"]: f"python evaluate.py ckpt=s/{row['folder']}" for row in arguments["rows"]}
    return sweep_page(evaluate=evaluate, **arguments)


def test_the_page_of_a_run_holds_measures_in_words_and_what_was_published() -> None:
    page = page_of_a_run()
    text = " ".join(re.sub(r"<[^>]+>", " ", page.partition("<main>")[2].partition("</main>")[0]).split())
    assert "a &amp; b" in text
    words = "Squared difference of each image, mean over its pixels; lower is better 0.01390 0.0123 at least 0"
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
    images = torch.cat([batch for batch, _ in batches()])
    code = model().encode(images).detach().numpy()
    atoms = data["atoms"]
    assert atoms["number"] == list(range(ATOMS))
    np.testing.assert_allclose(atoms["mean"], code.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(atoms["usage"], (code > 0.01 * code.max()).mean(axis=0), atol=1e-4)
    np.testing.assert_allclose([each[0] for each in atoms["strength"]], code.max(axis=0), atol=1e-4)
    assert sum(atoms["share"]) == pytest.approx(1, abs=0.01)
    assert np.sum(data["examples"]["contribution"], axis=1) == pytest.approx(1, abs=0.01)
    assert data["examples"]["names"] == list(Bars.classes)


def test_text_cannot_leave_its_place() -> None:
    for page in (
        page_of_a_run(title=HOSTILE, examples={HOSTILE: batches()[0][0][0]}),
        page_of_a_sweep(rows=[{"key": HOSTILE, "test/x": 1.0, "status": "finished", "folder": HOSTILE}], title=HOSTILE),
    ):
        assert HOSTILE not in page
        assert page.count("</script>") == 2


def test_nothing_comes_from_elsewhere() -> None:
    for page in (page_of_a_run(), page_of_a_sweep()):
        assert "default-src 'none'" in page
        assert not re.search(
            r"(src|href)=\"(?!data:)|url\((?!data:|\$)|@import|https?://(?!www\.w3\.org/2000/svg)", page
        )


@pytest.mark.slow
def test_many_large_atoms_still_make_a_light_page() -> None:
    shape, count = (1, 96, 96), 120
    large = AutoEncoder(Dense(shape, count), Dictionary(shape, count)).eval()
    page = page_of_a_run(
        model=large, batches=[(torch.rand(50, *shape), torch.zeros(50))], examples={"one": torch.rand(shape)}
    )
    assert len(page) < 5_000_000
    data = data_of(page)
    assert data["atoms"]["total"] == count
    assert 5 < len(data["atoms"]["number"]) < count
    many = {f"run{number}": np.random.default_rng(number).random((100, 1, 28, 28)) for number in range(30)}
    runs = [{"a": str(number), "test/x": 1.0, "status": "finished", "folder": f"run{number}"} for number in range(30)]
    assert len(page_of_a_sweep(rows=runs, atoms=many)) < 5_000_000


def test_a_sweep_is_drawn_across_what_was_varied_and_says_how_to_measure_a_run() -> None:
    data = data_of(page_of_a_sweep())
    assert set(data["keys"]) == {"sparsity.p", "sparsity.beta"}
    assert data["runs"][0]["evaluate"] == "python evaluate.py ckpt=s/p-0.01__beta-0.001"


def test_a_measure_that_is_no_number_is_shown_as_such() -> None:
    assert "nan" in page_of_a_run(measures={"test/explained_variance": float("nan")})
    row = {"a": "1", "test/x": float("inf"), "status": "finished", "folder": "f"}
    assert data_of(page_of_a_sweep(rows=[row]))["runs"][0]["measures"] == {"x": None}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


def fits(browser: Page) -> bool:
    """Whether nothing but what scrolls by itself is wider than the window."""
    return bool(browser.run("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [1280, 420])
def test_a_run_in_a_browser(browser: Page, tmp_path: Path, width: int) -> None:
    save(image_rows({"original": batches()[0][0][:3].numpy()}, Bars.classes), tmp_path / "figure")
    file = tmp_path / "report.html"
    file.write_text(page_of_a_run({"A figure": tmp_path / "figure.png"}))
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(file.as_uri(), width)
    assert fits(browser)
    assert browser.count("#atoms button") == ATOMS

    # a click shows an atom large, with its usage, its strongest images and its dilation
    browser.click("#atoms [data-index='7']")
    shown = browser.text("#atom")
    assert "Atom 7" in shown
    assert "its dilation, radius 1" in shown
    assert "used by" in shown
    assert browser.count("#atom .few figure") == 8
    assert browser.count("#atoms [aria-pressed='true']") == 1

    # so do the keys: one stop for Tab, arrows among the atoms
    browser.run("document.querySelector('#order').focus()")
    browser.press("Tab")
    assert browser.run("document.activeElement.dataset.index") == "7"
    for key, step in (("Home", 0), ("ArrowRight", 1), ("ArrowLeft", 0), ("End", ATOMS - 1)):
        browser.press(key)
        at = browser.run("[...document.querySelectorAll('#atoms button')].indexOf(document.activeElement)")
        assert at == step, key
    browser.press("Home")
    browser.press("ArrowDown")
    assert browser.run("document.activeElement.offsetTop > document.querySelector('#atoms button').offsetTop")
    browser.press("Enter")
    assert f"Atom {browser.run('document.activeElement.dataset.index')}" in browser.text("#atom")

    browser.run("const order = document.querySelector('#order'); order.value = 'number'; "
                "order.dispatchEvent(new Event('change'))")  # fmt: skip
    assert browser.run("[...document.querySelectorAll('#atoms button')].map((one) => one.dataset.index)") == [
        str(index) for index in range(ATOMS)
    ]

    # an image's code as bars, and a bar's atom
    browser.click("#examples button:nth-child(2)")
    assert Bars.classes[1] in browser.text("#example")
    assert browser.count("#example .bars button") == ATOMS
    browser.click("#example .bars button:nth-child(12)")
    assert "Atom 11" in browser.text("#atom")
    browser.click("#example .few button")
    assert browser.run("document.activeElement.getAttribute('aria-label')") in browser.text("#atom")
    assert browser.run("document.querySelector('figure img').naturalWidth") > 100
    assert not browser.complaints
    assert browser.requests == [file.as_uri()]


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [1280, 420])
def test_a_sweep_in_a_browser(browser: Page, tmp_path: Path, width: int) -> None:
    file = tmp_path / "sweep.html"
    file.write_text(page_of_a_sweep())
    report = tmp_path / "p-0.01__beta-0.01" / "evaluation" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text(page_of_a_run())
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(file.as_uri(), width)
    assert fits(browser)
    assert browser.run("document.querySelector('#x').selectedOptions[0].text") == "sparsity.beta"
    assert browser.count("#panels svg") == 2
    assert browser.count("#panels svg:first-child .curve") == 2
    assert browser.count("#panels svg:first-child .point") == 6

    # a point's run is one click away, its report one more
    browser.click("#panels svg .point[data-run='1']")
    assert "sparsity.p 0.01, sparsity.beta 0.01" in browser.text("#run")
    assert "0.02" in browser.text("#run")
    assert browser.count("#run .atoms .tile") == ATOMS
    assert browser.count("#runs tr.chosen[data-run='1']") == 1
    browser.run("document.querySelector(\"#panels svg .point[data-run='1']\").focus()")
    browser.press("ArrowRight")
    browser.press("Enter")
    assert "sparsity.p 0.01, sparsity.beta 0.1" in browser.text("#run")
    assert "evaluate.py" in browser.text("#run")

    # a table to sort
    def column(number: int) -> list[str]:
        found = browser.run(
            f"[...document.querySelectorAll('#runs td:nth-child({number})')].map((one) => one.innerText)"
        )
        return list(found)

    assert column(3) == ["0.01", "0.02", "0.03", "0.04", "0.05", "0.06", ""]
    browser.click("#runs th:nth-child(3) button")
    browser.press("Enter")
    assert column(3) == ["0.06", "0.05", "0.04", "0.03", "0.02", "0.01", ""]
    assert browser.run("document.querySelector('#runs th:nth-child(3)').getAttribute('aria-sort')") == "descending"
    browser.click("#runs tbody tr:nth-child(3) td")
    assert browser.text("#run h3") == "sparsity.p 0.1, sparsity.beta 0.001"

    browser.click("#panels svg .point[data-run='1']")
    browser.click("#report")
    browser.run("new Promise((done) => setTimeout(done, 500))")
    assert browser.run("location.href") == report.as_uri()
    assert not browser.complaints
    assert browser.requests == [file.as_uri(), report.as_uri()]
