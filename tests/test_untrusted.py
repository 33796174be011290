"""Input is untrusted: nothing in the package evaluates or unpickles what it reads, or passes it to a shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import slimpajama

PACKAGE = Path(slimpajama.__file__).parent
FORBIDDEN = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}
FORBIDDEN |= {"yaml.full_load", "pickle.load", "marshal.loads", "marshal.load", "shelve.open"}
ALLOWED = {("engine/worker.py", "pickle.loads")}
"""A worker sees whether an error it has just pickled itself can travel."""


def calls(source: str) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def sins(path: str, source: str) -> list[str]:
    found = []
    for name, call in calls(source):
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name in FORBIDDEN or (name == "pickle.loads" and (path, name) not in ALLOWED):
            found.append(f"{path}: {name}")
        if name.endswith(("np.load", "numpy.load", "read_array")) and keywords.get("allow_pickle") != "False":
            found.append(f"{path}: {name} without allow_pickle=False")
        if name.endswith("torch.load") and keywords.get("weights_only") != "True":
            found.append(f"{path}: {name} without weights_only=True")
        if keywords.get("shell") == "True":
            found.append(f"{path}: {name} through a shell")
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_is_evaluated_or_unpickled(file: Path) -> None:
    assert sins(file.relative_to(PACKAGE).as_posix(), file.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "yaml.load(x)",
        "np.load(x)",
        "pickle.loads(x)",
        "subprocess.run(x, shell=True)",
        "pickle.load(x)",
        "torch.load(x)",
    ],
)
def test_what_is_forbidden_is_seen(source: str) -> None:
    assert len(sins("a.py", source)) == 1
