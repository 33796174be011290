"""What users import, and what importing costs."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

import slimpajama

PUBLIC = [
    "Config",
    "ConfigError",
    "ConservationError",
    "DamagedFile",
    "DamagedOutput",
    "Decision",
    "Decisions",
    "DedupSummary",
    "EngineChoice",
    "Explanation",
    "InputChanged",
    "InputError",
    "InputNotFound",
    "MadeReport",
    "MixtureConfig",
    "MixtureSummary",
    "Mixtures",
    "OutputError",
    "Pair",
    "PathStep",
    "Progress",
    "Recipe",
    "RunConfig",
    "RunPlan",
    "RunStatus",
    "RunSummary",
    "SampleConfig",
    "SampledRemovals",
    "Selection",
    "ShardUnreadable",
    "SlimpajamaError",
    "SourceConfig",
    "StageRecord",
    "StageStart",
    "TokenConfig",
    "TokenStore",
    "TokenStream",
    "TokenSummary",
    "TooManyBadRecords",
    "TooMuchRemoved",
    "Verification",
    "Where",
    "WorkerDied",
    "WorkspaceLocked",
    "clean",
    "deduplicate",
    "duplicates",
    "explain",
    "load_config",
    "load_mixture",
    "load_ratios",
    "load_recipe",
    "load_run_config",
    "make_report",
    "mix",
    "open_decisions",
    "open_store",
    "plan",
    "run",
    "shingle_hashes",
    "signature",
    "status",
    "verify",
]
HEAVY = {"numpy", "numba", "pyarrow", "pydantic", "datasketch", "datasets", "tokenizers", "gigatoken", "yaml", "orjson"}


def modules_after(code: str, *arguments: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after ``code``."""
    script = f"import sys\n{code}\nprint('modules', *sorted({{name.split('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True)
    return set(run.stdout.splitlines()[-1].split()[1:])


def test_the_public_names_are_these() -> None:
    assert slimpajama.__all__ == PUBLIC
    assert dir(slimpajama) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_can_be_imported_and_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(slimpajama, name))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'slimpajama' has no attribute 'minhash_everything'$"):
        _ = slimpajama.minhash_everything


def test_from_import_star_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from slimpajama import *", names)  # noqa: S102
    assert sorted(set(names) - {"__builtins__"}) == PUBLIC


def imported_names(module: Path) -> dict[str, str]:
    """Where ``if TYPE_CHECKING`` imports each name from."""
    (block,) = (node for node in ast.parse(module.read_text(encoding="utf-8")).body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: node.module or "" for node in imports for alias in node.names}


def test_the_names_for_type_checkers_and_those_loaded_when_used_have_the_same_homes() -> None:
    assert slimpajama.__file__ is not None
    assert imported_names(Path(slimpajama.__file__)) == slimpajama._HOME
    assert sorted(slimpajama._HOME) == PUBLIC


FUNCTIONS = [name for name in PUBLIC if inspect.isfunction(getattr(slimpajama, name))]


def classes_in(annotation: Any) -> Iterator[type]:
    """The classes of this package that an annotation names, at any depth."""
    for part in typing.get_args(annotation):
        yield from classes_in(part)
    if isinstance(annotation, type) and annotation.__module__.startswith("slimpajama."):
        yield annotation


@pytest.mark.parametrize("name", FUNCTIONS)
def test_types_of_parameters_and_results_are_public(name: str) -> None:
    function = getattr(slimpajama, name)
    names = {**function.__globals__, "pads": pyarrow.dataset}  # imported for type checkers alone
    for annotation in typing.get_type_hints(function, names).values():
        for kind in classes_in(annotation):
            assert kind.__name__ in PUBLIC, (name, kind)


def test_every_error_is_public() -> None:
    from slimpajama import errors

    assert set(errors.__all__) <= set(PUBLIC)


def test_signatures_of_the_functions_are_these() -> None:
    parameters = {name: str(inspect.signature(getattr(slimpajama, name))) for name in ("clean", "shingle_hashes")}
    shingles = "*, unit: 'Unit' = 'character', length: 'int' = 13, cleaning: 'Cleaning' = 'slimpajama'"
    assert parameters == {
        "clean": "(text: 'str', cleaning: 'Cleaning' = 'slimpajama') -> 'str'",
        "shingle_hashes": f"(text: 'str', {shingles}) -> 'NDArray[np.uint32]'",
    }
    assert str(inspect.signature(slimpajama.signature)) == (
        f"(text: 'str', num_perm: 'int' = 128, seed: 'int' = 1, {shingles}) -> 'NDArray[np.uint32]'"
    )
    assert list(inspect.signature(slimpajama.deduplicate).parameters) == [
        *("input", "output", "config", "progress", "engine", "keep", "settings")
    ]


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert modules_after("import slimpajama") & HEAVY == set()


def test_importing_an_error_imports_nothing_heavy() -> None:
    assert modules_after("from slimpajama import ConfigError") & HEAVY == set()


RUN_COMMAND = (
    "from slimpajama.cli.main import main\ntry:\n    main()\nexcept SystemExit as exit:\n    assert not exit.code"
)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_asking_for_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert modules_after(RUN_COMMAND, *arguments) & HEAVY == set()


@pytest.mark.parametrize("command", ["dedup", "sample"])
def test_asking_for_the_help_of_a_command_imports_nothing_heavy_but_what_typer_may(command: str) -> None:
    assert modules_after(RUN_COMMAND, command, "--help") & HEAVY <= {"pydantic"}


def test_python_m_slimpajama_is_the_command() -> None:
    run = subprocess.run([sys.executable, "-m", "slimpajama", "--help"], capture_output=True, text=True, check=True)
    assert "dedup" in run.stdout
    assert "Exit codes" in run.stdout
