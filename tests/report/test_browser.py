"""What the pages do in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from partae.data import Bars
from partae.figures import image_rows, save
from tests.report.conftest import ATOMS, EVALUATED, bars, page_of_a_run


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
def test_measures_that_lie_close_have_an_axis_of_different_numbers(tab: Any, page_of_a_sweep: Any) -> None:
    runs = [
        {"sparsity.p": p, "test/x": 0.0213456 + 2e-7 * number, "status": "finished", "folder": f"run{number}"}
        for number, p in enumerate(("0.1", "0.2", "0.3"))
    ]
    runs += [{"test/x": 0.0213457, "status": "finished", "folder": "without"}]
    tab.goto(page_of_a_sweep(runs, {}).as_uri())
    assert fits(tab)
    numbers = tab.locator("#panels svg:first-child text[text-anchor='end']").all_text_contents()
    ticks = [number for number in numbers if number.startswith("0.0213")]
    assert len(set(ticks)) == len(ticks) >= 4
    assert "not given" in numbers
    for text in tab.locator("#panels svg:first-child text").all():
        assert tab.evaluate("box => box.getBBox().x >= 0", text.element_handle())


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
