"""A mutation run: does a test fail for each small fault put into the mathematics? ``python -m tests.mutation``.

A mutant is a module with one operator, comparison, constant, sign or call changed. Each runs the tests of its module
in a process forked from one that has imported all of partae, and counts as killed if a test fails, or if it
takes longer than a minute. docs/checks.md shows the last run, and why no test kills those that survived.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import os
import random
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import partae.sweep  # noqa: F401  of all the rest of partae, so that a fork has it

ROOT = Path(__file__).parent.parent
TIME_LIMIT = 60  # seconds of a processor

# module -> what tests it, as arguments of pytest
TESTS = {
    "sparsity": ["tests/test_sparsity.py", "tests/metrics/test_code.py"],
    "decay": ["tests/test_decay.py"],
    "constraint": ["tests/test_constraint.py"],
    "projection": ["tests/test_projection.py"],
    "morphology.operators": ["tests/morphology/test_operators.py"],
    "morphology.extrema": ["tests/morphology"],
    "metrics.atoms": ["tests/metrics/test_atoms.py"],
    "metrics.code": ["tests/metrics/test_code.py"],
    "metrics.reconstruction": ["tests/metrics/test_reconstruction.py", "tests/metrics/test_measures.py"],
    "metrics.measures": ["tests/metrics/test_measures.py"],
    "metrics.parts": ["tests/metrics/test_parts.py"],
    "metrics.classification": ["tests/metrics/test_classification.py", "tests/metrics/test_measures.py"],
}
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
CALLS = {"max": "min", "min": "max", "sum": "mean", "mean": "sum", "amax": "amin", "amin": "amax", "maximum": "minimum"}
DROPPED = {"abs", "clamp", "sqrt", "square", "log1p", "detach"}


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Each mutant of ``source``: its line, what was changed, and its source."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    skipped = _skipped(tree)
    for index, node in enumerate(nodes):
        if id(node) in skipped:
            continue
        for change in range(len(_changes(node))):
            again = copy.deepcopy(tree)
            node_again = list(ast.walk(again))[index]
            said = _changes(node_again)[change]()
            yield getattr(node, "lineno", 0), said, ast.unparse(ast.fix_missing_locations(again))


def _skipped(tree: ast.AST) -> set[int]:
    """Annotations, decorators, the words of messages, and defaults, which tests/test_conf.py compares with conf/."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.Raise | ast.JoinedStr) or _registers(node):
            parts = [node]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns, *node.decorator_list, *node.args.defaults, *node.args.kw_defaults]
        elif isinstance(node, ast.arg):
            parts = [node.annotation]
        elif isinstance(node, ast.ClassDef):
            parts = [*node.bases, *node.decorator_list]
        skipped |= {id(inner) for part in parts if part is not None for inner in ast.walk(part)}
    return skipped


def _changes(node: ast.AST) -> list[Any]:
    """What can be changed at a node: each a function that does it and says what it did."""
    changes: list[Any] = []

    def swap(holder: Any, name: str, index: int | None = None) -> None:
        old = getattr(holder, name) if index is None else getattr(holder, name)[index]
        new = SWAPS.get(type(old))
        if new is None:
            return

        def change() -> str:
            if index is None:
                setattr(holder, name, new())
            else:
                getattr(holder, name)[index] = new()
            return f"{type(old).__name__} to {new.__name__}"

        changes.append(change)

    def replace(value: Any) -> None:
        def change() -> str:
            old = node.value  # type: ignore[attr-defined]
            node.value = value  # type: ignore[attr-defined]
            return f"{old!r} to {value!r}"

        changes.append(change)

    if isinstance(node, ast.Compare):
        for index in range(len(node.ops)):
            swap(node, "ops", index)
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        swap(node, "op")
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        replace(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        replace(node.value + 1)
        if node.value not in (0, 1):
            replace(-node.value)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):

        def plain() -> str:
            said = f"{type(node.op).__name__} dropped"
            node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
            if isinstance(node.op, ast.Not):
                node.operand = ast.UnaryOp(ast.Not(), node.operand)
            return said

        changes.append(plain)
    elif isinstance(node, ast.If | ast.IfExp):

        def negated() -> str:
            node.test = ast.UnaryOp(ast.Not(), node.test)
            return "condition negated"

        changes.append(negated)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        function = node.func
        if function.attr in CALLS:

            def other() -> str:
                old, function.attr = function.attr, CALLS[function.attr]
                return f"{old} to {function.attr}"

            changes.append(other)
        if function.attr in DROPPED:

            def dropped() -> str:
                node.func = ast.Name("_first", ast.Load())
                node.args = [function.value]
                node.keywords = []
                return f"{function.attr} dropped"

            changes.append(dropped)
        if function.attr == "where" and len(node.args) == 3:

            def exchanged() -> str:
                node.args[1:] = node.args[:0:-1]
                return "branches of where exchanged"

            changes.append(exchanged)
    return changes


def _registers(node: ast.AST) -> bool:
    """Whether ``node`` tells torch's library of an operator, which takes note of it once only."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return ast.unparse(node.value.func).startswith("torch.library.")
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return any("library" in text or "register" in text for text in map(ast.unparse, decorators))


def _put_in_place(module: ModuleType, source: str) -> None:
    """Give the functions and classes of ``module``, wherever they have been imported to, the code of ``source``."""
    tree = ast.parse(f"{source}\n\ndef _first(value):\n    return value\n")
    tree.body = [node for node in tree.body if not _registers(node)]
    old = dict(vars(module))
    exec(compile(tree, str(module.__file__), "exec"), vars(module))
    for name, before in old.items():
        after = vars(module)[name]
        if after is before:
            continue
        if isinstance(after, FunctionType):
            inner, new = getattr(before, "__wrapped__", before), getattr(after, "__wrapped__", after)
            inner.__code__, inner.__defaults__, inner.__kwdefaults__ = (
                new.__code__,
                new.__defaults__,
                new.__kwdefaults__,
            )
            setattr(module, name, before)
        elif isinstance(after, type):
            for key, value in vars(after).items():
                if key not in ("__dict__", "__weakref__", "__doc__"):
                    setattr(before, key, value)
                for cell in getattr(getattr(value, "__wrapped__", value), "__closure__", None) or ():
                    if cell.cell_contents is after:  # what super() looks for
                        cell.cell_contents = before
            setattr(module, name, before)


def _path(module: str) -> Path:
    return ROOT / "partae" / f"{module.replace('.', '/')}.py"


def survives(module: str, source: str) -> bool:
    """Whether the tests of ``module`` pass with ``source`` in its place."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT, TIME_LIMIT))
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        try:
            _put_in_place(importlib.import_module(f"partae.{module}"), source)
        except Exception:  # a fault that no import survives
            os._exit(1)
        quick = ["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist"]
        quick += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        status = pytest.main([*quick, *TESTS[module], str(_path(module))])
        os._exit(int(status))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main() -> None:
    """Run a sample of the mutants of each module, and print those that survive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", nargs="*", default=list(TESTS))
    parser.add_argument("--most", type=int, default=10**9, help="mutants of a module; more are sampled")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.chdir(ROOT)
    killed = total = 0
    for module in options.modules:
        source = _path(module).read_text()
        lines = source.splitlines()
        every = list(mutants(source))
        drawn = random.Random(options.seed).sample(every, min(options.most, len(every)))
        if not survives(module, source):
            sys.exit(f"the tests of {module} fail without any fault")
        survivors = []
        for line, change, mutant in sorted(drawn):
            if survives(module, mutant):
                survivors.append((line, change))
                print(f"survives: {module}:{line}: {change}: {lines[line - 1].strip()}", flush=True)
        print(f"{module}: {len(drawn) - len(survivors)} of {len(drawn)} killed ({len(every)} in all)", flush=True)
        killed, total = killed + len(drawn) - len(survivors), total + len(drawn)
    print(f"{killed} of {total} killed: {killed / total:.1%}")


if __name__ == "__main__":
    main()
