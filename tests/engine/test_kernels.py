"""The digest under which a kernel is cached covers everything compiled into it, and nothing else."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from slimpajama.engine.kernels import content_digest

CALLED = "from slimpajama.engine.kernels import kernel\n\n@kernel\ndef called(x):\n    return x + 1\n"
CALLER = (
    "import numpy as np\nfrom slimpajama.engine.kernels import kernel\n"
    "STEP = 3\nTABLE = np.arange(4)\n\n@kernel\ndef caller(x):\n    return called(x) + STEP + TABLE[0]\n"
)


def module(path: Path, source: str, **names: object) -> ModuleType:
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    vars(made).update(names)
    spec.loader.exec_module(made)
    return made


def digest_of(folder: Path, called: str = CALLED, **changed: object) -> str:
    folder.mkdir()
    inner = module(folder / "inner.py", called)
    outer = module(folder / "outer.py", CALLER, called=inner.called)
    vars(outer).update(changed)
    return content_digest(outer.caller.__wrapped__)


def test_the_digest_of_a_kernel_follows_what_is_compiled_into_it(tmp_path: Path) -> None:
    before = digest_of(tmp_path / "before")
    assert digest_of(tmp_path / "same") == before
    assert digest_of(tmp_path / "called", CALLED.replace("+ 1", "+ 2")) != before
    assert digest_of(tmp_path / "constant", STEP=4) != before
    assert digest_of(tmp_path / "table", TABLE=np.array([0, 1, 2, 4])) != before
    assert digest_of(tmp_path / "unused", OTHER=1) == before


COMPILED_LATE = """
import sys
from importlib import import_module
from pathlib import Path

from slimpajama.config.run import load_run_config
from slimpajama.engine.kernels import Kernel
from slimpajama.pipeline.run import run_all

def signatures():
    found = [value for name, module in sorted(sys.modules.items()) if name.startswith("slimpajama")
             for value in list(vars(module).values()) if isinstance(value, Kernel)]
    return {(kernel.__qualname__, one) for kernel in found for one in kernel.ready_for}

for name in ("sample.compiled", "dedup.compiled", "dedup.run_kernels", "mixture.compiled"):
    import_module(f"slimpajama.{name}")
ready = signatures()
run_all(load_run_config(Path(sys.argv[1]), ["dedup.workers=1"]), Path("."), Path(sys.argv[2]))
print(*sorted(signatures() - ready), sep="\\n", end="")
"""


def test_importing_the_compiled_modules_makes_every_kernel_of_a_run_ready(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("sample: {docs: 300}\nmixtures: {recipes: [dc-6], tokens: 20k, sequence_length: 128}\n")
    command = [sys.executable, "-c", COMPILED_LATE, str(config), str(tmp_path / "out")]
    late = subprocess.run(command, capture_output=True, text=True, check=True)
    assert late.stdout == "", "these kernels are loaded or compiled in each worker, by its first task"
