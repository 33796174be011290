"""Which engine a command runs on: this machine's processes, or a Ray cluster; and how much memory that has."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

from slimpajama.config.dedup import Config
from slimpajama.engine import Engine
from slimpajama.engine.local import GUARD, LocalEngine
from slimpajama.engine.resources import task_bytes, worker_count
from slimpajama.errors import ConfigError

__all__ = ["EngineChoice"]


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """``local``, or ``ray`` with the ``address`` of a cluster or, without one, on this machine."""

    name: Literal["local", "ray"] = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.name not in ("local", "ray"):
            raise ConfigError(f"there is no engine {self.name!r}; choose local or ray")

    def start_server(self, config: Config, preload: Sequence[str]) -> None:
        """Start what workers are forked from, if several will be; it imports ``preload``.

        A command does so before its own imports, for which it has to wait else.
        """
        if self.name == "local" and self.address is None and worker_count(config) > 1:
            from slimpajama.engine.local import start_server

            start_server(preload)

    def opened(self, config: Config) -> AbstractContextManager[Engine]:
        """The engine, to be entered.

        Raises :class:`ConfigError` for an address without Ray, where Ray is not installed, and in a worker that runs
        the script of its parent, which is not guarded.
        """
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise ConfigError(f"a worker process runs this script again; {GUARD}")
        if self.name == "local":
            if self.address is not None:
                raise ConfigError(f"--ray-address {self.address} is for --engine ray; give both or neither")
            return LocalEngine(worker_count(config))
        from slimpajama.engine.ray import RayEngine

        if self.address is None:
            return RayEngine(cpus=worker_count(config))
        return RayEngine(self.address, memory=task_bytes(config))
