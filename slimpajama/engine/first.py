"""What the server that a command's workers are forked from imports first: see :mod:`slimpajama.engine.lean`."""

from __future__ import annotations

from slimpajama.engine.lean import worker_does_without

worker_does_without()
