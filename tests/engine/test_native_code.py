"""Kernels are loaded as native code without numba, do the same as compiled ones, and are compiled where need be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slimpajama.engine.native_code import Returned, load, packed, type_key, type_names

KERNELS = """
import numpy as np
from slimpajama.engine.kernels import kernel

@kernel
def weighted(numbers, weight):
    total = 0
    for at in range(numbers.shape[0]):
        total += numbers[at] * weight
    return total

@kernel
def several(numbers, weight, factor, flag):
    if flag and weight == 7:
        raise ValueError("not seven", 3)
    return weighted(numbers[1:], weight), factor * 2, numbers[0] // weight, flag

@kernel
def fill(table, value):
    for row in range(table.shape[0]):
        for column in range(table.shape[1]):
            table[row, column] = value

@kernel
def allocated(size):
    return np.ones(size).sum()
"""

CALLS = """
import sys
import numpy as np
from some_kernels import allocated, fill, several, weighted
numbers = np.arange(3, 13)
print(several(numbers, 2, 2.5, True), several(numbers[::-3], np.uint8(3), np.float32(0.25), np.bool_(False)))
print(weighted(numbers.astype(np.uint16), np.uint64(1 << 63)), weighted(np.arange(4) / 4, -1))
for weight in (0, 7):
    try:
        several(numbers, weight, 1.0, True)
    except Exception as error:
        print(repr(error))
table = np.zeros((4, 3), dtype=np.int8)
print(fill(table.T[::2], -1), table.tolist(), fill(np.zeros((0, 3)), 1))
"""

RESULT = """\
(144, 5.0, 1, True) (54, 0.5, 4, False)
-9223372036854775808 -1.5
ZeroDivisionError('integer division by zero')
ValueError('not seven', 3)
None [[-1, 0, -1], [-1, 0, -1], [-1, 0, -1], [-1, 0, -1]] None
"""

NUMBA = "print('numba' in sys.modules)\n"


def started(folder: Path, program: str, **environment: str) -> subprocess.Popen[str]:
    (folder / "some_kernels.py").write_text(KERNELS)
    script = folder / "program.py"
    script.write_text(program)
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), **environment}
    command = [sys.executable, str(script)]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output(folder: Path, program: str, **environment: str) -> str:
    process = started(folder, program, **environment)
    told, faults = process.communicate(timeout=120)
    assert process.returncode == 0, faults
    return told


def without_numba(folder: Path) -> dict[str, str]:
    """The environment of a process in which numba cannot be imported."""
    (folder / "blocked").mkdir()
    (folder / "blocked" / "numba.py").write_text("raise ImportError('numba was imported')\n")
    path = [str(folder / "blocked"), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(path)}


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the native code of all that ``CALLS`` calls."""
    folder = tmp_path_factory.mktemp("compiled")
    assert output(folder, CALLS + NUMBA) == RESULT + "True\n"
    return folder


@pytest.fixture
def compiled(compiled_once: Path, tmp_path: Path) -> Path:
    """A copy of it, without numba's own cache."""
    for file in compiled_once.rglob("*.native"):
        copy = tmp_path / file.relative_to(compiled_once)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.native"))}


def test_compiled_kernels_are_called_without_numba_and_give_the_same(compiled: Path) -> None:
    assert output(compiled, CALLS + NUMBA, **without_numba(compiled)) == RESULT + "False\n"


def test_new_types_are_compiled_and_join_the_others(compiled: Path) -> None:
    before = files(compiled)
    assert output(compiled, CALLS + "print(weighted(numbers, 0.5))\n" + NUMBA) == RESULT + "37.5\nTrue\n"
    after = files(compiled)
    assert len(after) == len(before) + 1
    assert before.items() < after.items()


def test_damaged_files_are_compiled_anew(compiled: Path) -> None:
    sound = files(compiled)
    for number, name in enumerate(sound):
        content = sound[name]
        damaged = (b"", b"torn", content[:-9], content[:-9] + b"?" + content[-8:])[number % 4]
        (compiled / name).write_bytes(damaged)
    assert output(compiled, CALLS + NUMBA) == RESULT + "True\n"
    assert files(compiled).keys() == sound.keys()
    assert output(compiled, CALLS + NUMBA) == RESULT + "False\n"


def test_code_for_another_processor_is_left_alone(compiled: Path) -> None:
    before = files(compiled)
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert output(compiled, CALLS + NUMBA, **generic) == RESULT + "True\n"
    assert len(files(compiled)) == 2 * len(before)
    assert before.items() < files(compiled).items()
    assert output(compiled, CALLS + NUMBA) == RESULT + "False\n"


def test_processes_that_compile_the_same_kernels_at_once_do_not_harm_each_other(tmp_path: Path) -> None:
    for process in [started(tmp_path, CALLS) for _ in range(2)]:
        told, faults = process.communicate(timeout=120)
        assert (told, process.returncode) == (RESULT, 0), faults
    assert output(tmp_path, CALLS + NUMBA) == RESULT + "False\n"
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".py", ".native"}


def test_a_kernel_that_allocates_is_left_to_numba(compiled: Path) -> None:
    before = files(compiled)
    assert output(compiled, CALLS + "print(allocated(5))\n" + NUMBA) == RESULT + "5.0\nTrue\n"
    assert files(compiled) == before


def test_kernels_run_as_python_where_numba_is_told_so(compiled: Path) -> None:
    program = CALLS.split("numbers =")[0] + "print(weighted(np.arange(4), 2))\n"
    assert output(compiled, program, NUMBA_DISABLE_JIT="1") == "12\n"


def test_types_are_told_apart_as_numba_does() -> None:
    table = np.zeros((3, 4), dtype=np.uint16)
    frozen = np.zeros(3)
    frozen.setflags(write=False)
    arguments = [table, table.T, table[:, ::2], frozen, 3, True, 0.5, np.uint8(3), np.bool_(True)]
    names = ["u2[2C]", "u2[2F]", "u2[2A]", "f8[1Cr]", "i8", "b1", "f8", "u1", "b1"]
    assert type_names(arguments) == names
    assert len({type_key([argument]) for argument in arguments}) == len(arguments)
    for beyond in (1 << 63, "text", None, np.zeros(2, dtype=">i4"), np.zeros(2, dtype="M8[s]"), (1, 2)):
        assert type_names([3, beyond]) is None
    assert type_key([1 << 63]) != type_key([1])
    bytes_ = np.zeros(17, dtype=np.uint8)
    assert type_names([bytes_[1:].view(np.uint64)]) == ["u8[1Cu]"]


def test_a_file_that_is_missing_or_not_whole_holds_no_kernel(tmp_path: Path) -> None:
    path = tmp_path / "one.native"
    assert load(path) is None
    whole = packed("entry", ["i8"], Returned(("i8",), False), b"code")
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert load(path) is None
