"""What a user sees of a sweep in TensorBoard, in a browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.browser import Page, chromium, needs_chromium

ROOT = Path(__file__).parents[1]
CHOICES = ("hoyer", "kl", "none")
EPOCHS = 2
PATIENCE = 60  # seconds for whatever a busy machine has to show
WINDOW = {"width": 4200, "height": 6000}  # large enough for all hyperparameters: what lies outside cannot be clicked on

# what is in sight, in shadow trees too, of which TensorBoard is made: words with their middle, and how many pictures
SEEN = """(() => {
    const words = [];
    let pictures = 0;
    const look = (node) => {
        if (node.nodeType === Node.TEXT_NODE && node.data.trim()) {
            const range = document.createRange();
            range.selectNodeContents(node);
            const box = range.getBoundingClientRect();
            if (box.width) words.push([node.data.trim(), box.x + box.width / 2, box.y + box.height / 2]);
        } else if (node.nodeType === Node.ELEMENT_NODE && node.checkVisibility({visibilityProperty: true})) {
            const drawn = node.nodeName === "IMG" ? node.naturalWidth : node.nodeName === "path";
            if (drawn && node.getBoundingClientRect().width > 100) pictures += 1;
            [...(node.shadowRoot?.childNodes ?? []), ...node.childNodes].forEach(look);
        }
    };
    look(document.body);
    return [words, pictures];
})()"""


class Word(NamedTuple):
    text: str
    x: float
    y: float


def wait_for(page: Page, *words: str, pictures: int = 0) -> list[Word]:
    """The words in sight, once ``words`` are among them and enough pictures are drawn."""
    end = time.monotonic() + PATIENCE
    while True:
        found, drawn = page.run(SEEN)
        missing = set(words) - {word[0] for word in found}
        if not missing and drawn >= pictures:
            return [Word(*word) for word in found]
        assert time.monotonic() < end, f"{missing} and {pictures} pictures are not among {drawn} pictures and {found}"
        time.sleep(0.2)


def click(page: Page, text: str) -> None:
    """Click on a word in sight."""
    (x, y), *_ = ((word.x, word.y) for word in wait_for(page, text) if word.text == text)
    page.click_at(x, y)


def table_row(words: list[Word], name: str) -> list[str]:
    """The words on a line with ``name``."""
    heights = [word.y for word in words if word.text == name]
    return [word.text for word in words if any(abs(word.y - height) < 3 for height in heights)]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep over three penalties, which do not have the same values."""
    folder = tmp_path_factory.mktemp("sweep")
    command = [
        sys.executable, str(ROOT / "train.py"), "-m", "data=bars", "latent_dim=16", f"sparsity={','.join(CHOICES)}",
        f"trainer.max_epochs={EPOCHS}", "callbacks.gallery.every_n_epochs=1", "trainer.accelerator=cpu", "quiet=true",
        f"hydra.sweep.dir={folder}", "hydra.sweep.subdir='${hydra:runtime.choices.sparsity}'",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=300, cwd=folder, env=environment())
    return folder


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """The address of a TensorBoard that shows ``folder``."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            assert process.stderr is not None
            said = ""
            while not (found := re.search(r"http://\S+", said)):
                said += (line := process.stderr.readline())
                assert line, said
            yield found[0]
        finally:
            process.terminate()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
@needs_chromium
def test_a_sweep_in_tensorboard(sweep: Path, tmp_path: Path) -> None:
    runs = list(CHOICES)
    measures = {choice: json.loads((sweep / choice / "metrics.json").read_text()) for choice in CHOICES}
    tested = {key for key in measures["kl"] if key.startswith("test/")}
    values = {"hoyer": {"Hoyer", "0.010000", "0.65000"}, "kl": {"KL", "0.0010000", "0.050000"}, "none": {"NoSparsity"}}
    with tensorboard(sweep) as address, chromium(tmp_path / "profile") as page:

        def visit(tab: str) -> None:
            page.open("about:blank")
            page.open(f"{address}#{tab}", **WINDOW)

        visit("scalars")
        wait_for(page, *runs, "test", "train", "val")
        click(page, "train")
        click(page, "val")
        # TensorBoard shows twelve charts of a group at a time, by name: val/sparsity is on its second page
        wait_for(page, "train/loss", "train/sparsity", "val/loss", "val/max_approximation_error_calibrated", *tested)
        page.screenshot(tmp_path / "scalars.png")

        visit("images")
        wait_for(page, *runs, "atoms", "images", pictures=2 * len(runs))
        page.screenshot(tmp_path / "images.png")

        visit("histograms")
        wait_for(page, *runs, "code/entries", "code/mean_activation_of_each_unit", pictures=2 * len(runs) * EPOCHS)
        page.screenshot(tmp_path / "histograms.png")

        # what differs stands in the table at once, what only some runs have after a click
        visit("hparams")
        wait_for(page, *runs, "Hoyer", "KL", "NoSparsity")
        for key in ("sparsity.p", "sparsity.target", *sorted(tested)[4:]):
            click(page, key)
        words = wait_for(page, *runs, *values["kl"], *values["hoyer"])
        page.screenshot(tmp_path / "hparams.png")
        for choice, run in zip(CHOICES, runs, strict=True):
            shown = {f"{value:#.5g}" for key, value in measures[choice].items() if key in tested}
            assert shown | values[choice] <= set(table_row(words, run))
        assert not page.errors
        assert all(request.startswith((address, "about:", "blob:")) for request in page.requests)
