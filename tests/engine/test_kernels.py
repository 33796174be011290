"""The digest under which a kernel is cached covers everything compiled into it, and nothing else."""

from __future__ import annotations

import importlib.util
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
