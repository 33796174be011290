"""How many worker processes a run has, and what memory each of its tasks may hold.

The memory of a run is shared out here, once: so much for each process, the rest for what grows with the corpus.
"""

from __future__ import annotations

from slimpajama.config.dedup import Config
from slimpajama.engine.machine import available_memory, processors
from slimpajama.errors import ConfigError

__all__ = ["OTHERS_BYTES", "WORKER_BYTES", "memory_bytes", "task_bytes", "whole_machine_bytes", "worker_count"]

WORKER_BYTES = 512 << 20
"""What a worker takes at most beside what ``memory`` is shared out for: interpreter, kernels and one batch of text."""

OTHERS_BYTES = 384 << 20
"""What the process that plans takes, and the one that workers are forked from; one worker alone is the former."""


def worker_count(config: Config, cores: int | None = None) -> int:
    """Worker processes: the setting, or one for each core this process may use, if the memory is enough.

    ``cores``: of another machine. Raises :class:`ConfigError` where both are set and contradict each other.
    """
    # A quarter is left for what grows with the corpus, see task_bytes.
    most = max(1, (memory_bytes(config) * 3 // 4 - OTHERS_BYTES) // WORKER_BYTES)
    if config.workers is None:
        return min(cores or processors(), most)
    if config.memory is not None and config.workers > most:
        needed, given = config.workers * WORKER_BYTES + OTHERS_BYTES, config.memory * 3 // 4
        raise ConfigError(
            f"{config.workers} workers need {needed >> 20} MiB, but three quarters of the setting memory "
            f"({config.memory >> 20} MiB) are {given >> 20} MiB: raise memory, or set at most {most} worker(s)"
        )
    return config.workers


def memory_bytes(config: Config) -> int:
    """Bytes that the run may use, all workers together: the setting, or half of what this process may."""
    if config.memory is not None:
        return config.memory
    return available_memory() // 2


def task_bytes(config: Config, cores: int | None = None) -> int:
    """Bytes that one work item may hold of what grows with the corpus: its part of what the processes leave."""
    memory, workers = memory_bytes(config), worker_count(config, cores)
    return max(memory - OTHERS_BYTES - workers * WORKER_BYTES, memory // 4) // workers


def whole_machine_bytes(config: Config, cores: int | None = None) -> int:
    """Bytes that the item of a stage with no other may hold: a half of what all have, as it maps files besides."""
    return task_bytes(config, cores) * worker_count(config, cores) // 2
