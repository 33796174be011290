"""The rules of the layout: which room may import which, and how large and how loosely typed the code may be."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import slimpajama

PACKAGE = Path(slimpajama.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = Path(__file__).parent

ROOMS = (
    {"errors", "logging", "printable", "text_table", "versions", "streams", "registry"},  # files of the root
    {"storage", "training"},
    {"config"},
    {"engine"},
    {"stages"},
    {"corpus", "text"},
    {"sample", "dedup"},
    {"tokens"},
    {"mixture"},
    {"verification", "planning"},
    {"evidence"},
    {"report"},
    {"pipeline"},
    {"study"},
    {"cli"},
    {"__main__"},
)
"""From the ground up: a room imports what stands in its own line or above."""

MOST_LINES = 370


@dataclass(frozen=True)
class Import:
    """One import statement: module ``importer`` at ``line`` uses module ``imported``."""

    importer: str
    line: int
    imported: str

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


def without_type_checking(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            yield from without_type_checking(node)


def imports(modules: dict[str, Path]) -> Iterator[Import]:
    """All imports among ``modules``, those inside functions too."""
    for importer, file in modules.items():
        tree = ast.parse(file.read_bytes())
        for node in without_type_checking(tree) if importer == "slimpajama.registry" else ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{importer}:{node.lineno} is a relative import; write the whole name"
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    imported = full if full in modules else str(node.module)
                    if imported in modules:
                        yield Import(importer, node.lineno, imported)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in modules:
                        yield Import(importer, node.lineno, alias.name)


def room(module: str) -> str:
    return module.split(".")[1]


def height(module: str) -> int:
    return next(height for height, rooms in enumerate(ROOMS) if room(module) in rooms)


def test_every_module_is_in_a_room_that_is_listed() -> None:
    listed = set().union(*ROOMS)
    assert {room(module) for module in MODULES if "." in module} == listed


def test_imports_only_go_down_the_list_of_rooms() -> None:
    upward = [
        str(one)
        for one in imports(MODULES)
        if one.importer != "slimpajama"  # names what is public, and imports it when it is asked for
        and (one.imported == "slimpajama" or height(one.imported) > height(one.importer))
    ]
    assert upward == []


def test_only_commands_import_the_study() -> None:
    users = {one.importer for one in imports(MODULES) if room(one.imported) == "study"}
    assert {room(user) for user in users} <= {"study", "cli"}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Some nodes that lead to one another, or none."""
    left = {node: set(others) for node, others in graph.items()}
    while leaves := [node for node, others in left.items() if not others & left.keys()]:
        for node in leaves:
            del left[node]
    return sorted(left)


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["a", "b", "c", "d"]


def test_no_rooms_and_no_modules_import_in_a_circle() -> None:
    found = [one for one in imports(MODULES) if one.importer != "slimpajama"]
    modules: dict[str, set[str]] = {module: set() for module in MODULES}
    rooms: dict[str, set[str]] = {room(module): set() for module in MODULES if "." in module}
    for one in found:
        modules[one.importer].add(one.imported)
        if room(one.importer) != room(one.imported):
            rooms[room(one.importer)].add(room(one.imported))
    assert circle(rooms) == []
    assert circle(modules) == []


def test_every_module_opens_with_what_it_does() -> None:
    assert [name for name, file in MODULES.items() if not ast.get_docstring(ast.parse(file.read_bytes()))] == []


def test_no_module_is_long() -> None:
    lines = {name: len(file.read_text("utf-8").splitlines()) for name, file in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_the_grammar_is_that_of_the_oldest_python() -> None:
    oldest = (3, 10)
    for file in [*FILES, *sorted(TESTS.rglob("*.py"))]:
        ast.parse(file.read_bytes(), str(file), feature_version=oldest)


def patched(tree: ast.AST, ours: tuple[str, ...] = ("slimpajama", "tests")) -> Iterator[str]:
    """What the calls of ``setattr`` on a patcher of pytest replace, of what is ours."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            imported |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            target = node.args[0]
            root = target.value if isinstance(target, ast.Constant) else ast.unparse(target)
            name = imported.get(str(root).split(".")[0], str(root))
            if name.split(".")[0] in ours:
                yield f"line {node.lineno}: {name}"


def test_a_patch_of_an_internal_is_found_however_it_is_written() -> None:
    by_module = "from slimpajama.dedup import lsh\nmonkeypatch.setattr(lsh, 'BYTES', 1)"
    by_class = "from slimpajama.stages.stage import Stage\nwith p.context() as q:\n    q.setattr(Stage, 'run', f)"
    by_name = "monkeypatch.setattr('slimpajama.storage.paths.RANGE_BYTES', 1)"
    of_others = "import os\nmonkeypatch.setattr(os, 'fsync', refuse)"
    counts = [len(list(patched(ast.parse(code)))) for code in (by_module, by_class, by_name, of_others)]
    assert counts == [1, 1, 1, 0]


def test_no_test_patches_an_internal() -> None:
    found = {file: list(patched(ast.parse(file.read_bytes()))) for file in sorted(TESTS.rglob("*.py"))}
    assert {file.relative_to(TESTS).as_posix(): lines for file, lines in found.items() if lines} == {}


def test_no_class_is_named_twice() -> None:
    names = Counter(
        node.name for file in FILES for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


READERS = {
    "opened",
    "file_record",
    "map_array",
    "MappedArray",
    "np.load",
    "damage_of",
    "statuses_below",
    "pq.read_table",
    "pq.ParquetFile",
}
"""What opens a file of an output, and raises OSError."""
BESIDE_STAGES = ("pipeline", "cli", "planning", "mixture", "evidence", "report")
"""Rooms whose code runs beside the stages, where no runner makes an error of a failing disk or a damaged table."""


def called(node: ast.AST) -> str:
    """The last name of what is called; empty for what is no call."""
    function = node.func if isinstance(node, ast.Call) else None
    return getattr(function, "attr", "") or getattr(function, "id", "")


def bare_reads(node: ast.AST, guarded: bool = False) -> Iterator[int]:
    """Lines that read a file outside of ``with reading(…)`` and of ``try``."""
    if isinstance(node, ast.With):
        guarded = guarded or called(node.items[0].context_expr) in ("reading", "reading_store")
    elif isinstance(node, ast.Try):
        guarded = guarded or "OSError" in "".join(map(ast.unparse, node.handlers))
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in READERS and not guarded:
        yield node.lineno
    for child in ast.iter_child_nodes(node):
        yield from bare_reads(child, guarded)


def test_a_bare_read_is_found() -> None:
    bare = "with opened(path) as file:\n    file.read()"
    guarded = "with reading(path), opened(path) as file:\n    file.read()"
    tried = "try:\n    map_array(path)\nexcept (OSError, ValueError):\n    pass"
    assert [list(bare_reads(ast.parse(code))) for code in (bare, guarded, tried)] == [[1], [], []]


def test_no_read_beside_the_stages_lets_the_error_of_a_disk_through() -> None:
    found = {
        name: list(bare_reads(ast.parse(file.read_bytes())))
        for name, file in MODULES.items()
        if "." in name and room(name) in BESIDE_STAGES and ".stages" not in name and ".formats" not in name
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_few_lines_are_loosely_typed() -> None:
    lines = [line for file in FILES for line in file.read_text("utf-8").splitlines() if "dict[str, Any]" in line]
    assert len(lines) <= 15, "\n".join(lines)


@pytest.mark.parametrize("name", ["work", "summary.json"])
def test_a_name_on_disk_is_written_in_one_file(name: str) -> None:
    assert len([file for file in FILES if f'"{name}"' in file.read_text("utf-8")]) == 1
