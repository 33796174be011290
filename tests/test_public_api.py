"""What users import, and what importing costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import slimpajama

PUBLIC = [
    "Config",
    "ConfigError",
    "ConservationError",
    "DedupSummary",
    "InputChanged",
    "InputError",
    "InputNotFound",
    "OutputError",
    "ShardUnreadable",
    "SlimpajamaError",
    "SourceConfig",
    "TooManyBadRecords",
    "WorkerDied",
    "clean",
    "deduplicate",
    "load_config",
    "shingle_hashes",
    "signature",
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


def test_signatures_of_the_functions_are_these() -> None:
    parameters = {name: str(inspect.signature(getattr(slimpajama, name))) for name in ("clean", "shingle_hashes")}
    assert parameters == {"clean": "(text: 'str') -> 'str'", "shingle_hashes": "(text: 'str') -> 'NDArray[np.uint32]'"}
    assert str(inspect.signature(slimpajama.signature)) == (
        "(text: 'str', num_perm: 'int' = 128, seed: 'int' = 1) -> 'NDArray[np.uint32]'"
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
