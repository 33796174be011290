"""What the server that a command's workers are forked from imports first: see :mod:`slimpajama.engine.import_guard`."""

from __future__ import annotations

from slimpajama.engine.import_guard import all_ours
from slimpajama.logging import log_to_stderr_like_parent
from slimpajama.streams import prepare_streams

prepare_streams()
log_to_stderr_like_parent()
all_ours("scipy")
