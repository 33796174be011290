"""What the server that a command's workers are forked from imports first: see :mod:`slimpajama.engine.lean`."""

from __future__ import annotations

from slimpajama.engine.lean import all_ours

all_ours("scipy")
