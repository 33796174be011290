"""What the server that workers are forked from imports first: see :mod:`slimpajama.engine.lean`.

numba, too, imports whatever of the installed packages says that it extends numba, such as awkward; our kernels need
none of them.
"""

from __future__ import annotations

from importlib import import_module

from slimpajama.engine.lean import do_without

do_without("pandas", "scipy")
vars(import_module("numba.core.entrypoints"))["_already_initialized"] = True
