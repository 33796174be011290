"""Faults of wiring, planted one by one in a copy of the package: the type checker reports each where it stands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Fault:
    """In ``file``, the first line that has ``sound`` gets ``misspelt`` instead. ``code``: how mypy begins its name."""

    file: str
    sound: str
    misspelt: str
    code: str


FAULTS = {
    "a field of a result of another stage": Fault(
        "dedup/stages/decide.py", "own.sketches", "own.sketch", "attr-defined"
    ),
    "a field of the result of a stage of one task": Fault(
        "dedup/stages/decide.py", "self.diff.digests", "self.diff.digest", "attr-defined"
    ),
    "a field inside a result": Fault(
        "dedup/stages/sketch.py", "result.counts.in_lsh", "result.counts.in_lhs", "attr-defined"
    ),
    "a field where a result is made": Fault("dedup/stages/link.py", "LinkResult(keys=", "LinkResult(key=", "call-arg"),
    "a field of what a task is given": Fault(
        "dedup/stages/write.py", "payload.decisions_file", "payload.decision_file", "attr-defined"
    ),
    "a field of a result of the token store": Fault(
        "tokens/stages/finish.py", "result.text_bytes", "result.text_byte", "attr-defined"
    ),
    "a field of the manifest of a mixture": Fault(
        "verification/mixture_files.py", "manifest.store.fingerprint", "manifest.stores.fingerprint", "attr-defined"
    ),
    "a stage in the run": Fault("pipeline/dedup.py", "DecideStage(dedup,", "DecidedStage(dedup,", "name-defined"),
    "a stage in the list of stages": Fault(
        "dedup/stages/order.py", "    DecideStage,", "    DecidStage,", "name-defined"
    ),
    "the module of a stage": Fault(
        "pipeline/dedup.py", "slimpajama.dedup.stages.decide", "slimpajama.dedup.stages.decides", "import-"
    ),
    "a stage that another asks for its name": Fault(
        "dedup/stages/write.py", "SketchStage.name", "SketchStage.names", "attr-defined"
    ),
    "a stage in the calculation of costs": Fault(
        "planning/cost_model.py", "LinkStage.title", "LinkingStage.title", "name-defined"
    ),
}


class Copy:
    """A copy of the package that is checked as the package is, with what was found out kept from check to check."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(REPOSITORY / "slimpajama", folder / "slimpajama", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPOSITORY / "pyproject.toml", folder)

    def findings(self) -> list[str]:
        command = [sys.executable, "-m", "mypy", "--package", "slimpajama", "--cache-dir", ".cache", "--no-pretty"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return [line for line in done.stdout.splitlines() if ": error: " in line]

    @contextmanager
    def planted(self, fault: Fault) -> Iterator[int]:
        """With the fault in it; gives the line at which it stands."""
        path = self.folder / "slimpajama" / fault.file
        before = path.read_text("utf-8")
        assert fault.sound in before, f"{fault.file} has no {fault.sound!r} any more; plant the fault elsewhere"
        path.write_text(before.replace(fault.sound, fault.misspelt, 1), "utf-8")
        try:
            yield before[: before.index(fault.sound)].count("\n") + 1
        finally:
            path.write_text(before, "utf-8")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    copy = Copy(tmp_path_factory.mktemp("copy"))
    assert copy.findings() == []
    return copy


@pytest.mark.parametrize("kind", FAULTS)
def test_a_planted_fault_is_reported_at_its_line(package: Copy, kind: str) -> None:
    fault = FAULTS[kind]
    with package.planted(fault) as line:
        findings = package.findings()
    place = f"slimpajama/{fault.file}:{line}: error: "
    assert any(one.startswith(place) and f"[{fault.code}" in one for one in findings), findings
