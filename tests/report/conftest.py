"""Pages of a run and of a sweep; and a tab of a headless Chromium, wide or narrow."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from partae import AutoEncoder, dilation
from partae.data import Bars
from partae.decoder import Dictionary
from partae.encoder import Dense
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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright (pip install playwright)")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture(params=[1280, 420])
def tab(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A Playwright page of some width; at the end nothing may have complained, or come from elsewhere than a file."""
    tab = browser.new_page(viewport={"width": request.param, "height": 900})
    complaints: list[str] = []
    addresses: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda asked: addresses.append(asked.url))
    yield tab
    tab.close()
    assert not complaints
    assert all(address.startswith(("file:", "data:")) for address in addresses)
