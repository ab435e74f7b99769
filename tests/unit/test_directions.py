"""Imports point one way: a module uses what lies below it, not what lies above or beside it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT

PACKAGE = ROOT / "pressbox"
# From the top down; what stands in one line lies on one floor.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("runs",),
    ("own",),
    ("bom", "learning", "page", "sealing"),
    ("classifier", "provenance"),
    ("data", "special_k"),
    ("environment", "trust"),
    ("atomic", "console", "payload"),
    ("errors",),
    ("__init__",),
)
HEIGHT = {room: -depth for depth, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> dict[str, Path]:
    """Each module of the package by its dotted name, without ``pressbox.``."""
    found = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts)] = file
    return found


def room(module: str) -> str:
    return module.partition(".")[0]


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """The modules of the package that a tree imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            head, _, rest = name.partition(".")
            if head == "pressbox":
                yield rest if rest in known else rest.rpartition(".")[0] or "__init__"


def arrows(files: dict[str, Path]) -> Iterator[tuple[str, str]]:
    for module, file in files.items():
        for target in imported(ast.parse(file.read_bytes()), set(files)):
            yield module, target


def forbidden(arrow: tuple[str, str]) -> bool:
    start, end = map(room, arrow)
    return start != end and HEIGHT[end] >= HEIGHT[start]


def test_every_module_stands_on_a_floor():
    assert {room(module) for module in modules()} <= HEIGHT.keys()


def test_no_import_leads_up_or_sideways():
    assert [arrow for arrow in arrows(modules()) if forbidden(arrow)] == []


@pytest.mark.parametrize(
    "line",
    [
        "from pressbox.runs import publishing",
        "from pressbox.page.report import page",
        "import pressbox.cli.options",
    ],
)
def test_an_import_that_leads_up_or_sideways_is_found(line, tmp_path):
    file = tmp_path / "tarball.py"
    file.write_text(f"def late():\n    {line}\n")
    found = list(arrows({**modules(), "sealing.tarball": file}))
    assert [arrow for arrow in found if forbidden(arrow)]
