"""The house keeps its floors: who may import whom, and how files and functions are called (docs/extending.md)."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "partae"
FILES = sorted(HOUSE.rglob("*.py"))
PAGE = (ROOT / "docs" / "extending.md").read_text()
(LIST,) = re.findall(r"```text\n(.*?)```", PAGE.partition("## The house")[2], re.DOTALL)
FLOORS = LIST.replace("\n  ", "").splitlines()
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in re.findall(r"\w+", floor)}


def named(file: Path) -> str:
    return file.relative_to(HOUSE).as_posix()


def room(file: Path) -> str:
    """The room of a file: its folder in partae/, or its own name where it has none."""
    return file.relative_to(HOUSE).with_suffix("").parts[0]


def imports(file: Path) -> Iterator[str]:
    """Each module that a file imports, in full; those inside functions and for type checkers count too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{named(file)}: write imports in full"
            if node.module == "partae":
                yield from (f"partae.{alias.name}" for alias in node.names)
            else:
                yield str(node.module)


def arrows() -> Iterator[tuple[Path, str]]:
    """Each file of a room, and another room that it imports from; partae/__init__.py only hands names on."""
    for file in FILES:
        for module in set(imports(file)) if file.parent != HOUSE or file.stem != "__init__" else ():
            if module.startswith("partae.") and module.split(".")[1] != room(file):
                yield file, module.split(".")[1]


def test_every_room_stands_on_a_floor() -> None:
    assert {room(file) for file in FILES} - {"__init__"} == FLOOR.keys()


def test_no_import_goes_up_a_floor() -> None:
    up = {f"{named(file)} -> {other}" for file, other in arrows() if FLOOR[other] > FLOOR[room(file)]}
    assert not up


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    below = defaultdict(set)
    for file, other in arrows():
        below[room(file)].add(other)
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_run_and_sweep_import_hydra() -> None:
    rooms = {room(file) for file in FILES if any(module.split(".")[0] == "hydra" for module in imports(file))}
    assert rooms == {"run", "sweep"}


def test_no_two_files_have_one_name_and_none_that_of_a_folder() -> None:
    count = Counter(file.name for file in FILES if file.stem != "__init__")
    folders = {file.parent.name for file in FILES}
    assert not {name for name, files in count.items() if files > 1 or Path(name).stem in folders}


def test_no_public_function_is_called_as_its_file() -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    alike = {
        named(file)
        for file in FILES
        for node in ast.parse(file.read_text()).body
        if isinstance(node, functions) and node.name == file.stem
    }
    assert not alike


def test_no_file_is_past_250_lines() -> None:
    sources = [file for file in HOUSE.rglob("*") if file.suffix in (".py", ".html", ".css", ".js")]
    assert len(sources) > len(FILES)
    assert not {named(file) for file in sources if len(file.read_text().splitlines()) > 250}
