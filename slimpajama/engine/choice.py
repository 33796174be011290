"""Which engine a command runs on: this machine's processes, or a Ray cluster; and how much memory that has."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from slimpajama.config.dedup import Config
from slimpajama.engine import Engine
from slimpajama.engine.local import LocalEngine
from slimpajama.engine.resources import task_bytes, worker_count
from slimpajama.errors import ConfigError

__all__ = ["EngineChoice"]


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """``local``, or ``ray`` with the ``address`` of a cluster or, without one, on this machine."""

    name: str = "local"
    address: str | None = None

    def opened(self, config: Config) -> AbstractContextManager[Engine]:
        """The engine, to be entered.

        Raises :class:`ConfigError` for an address without Ray, and where Ray is not installed.
        """
        if self.name == "local":
            if self.address is not None:
                raise ConfigError(f"--ray-address {self.address} is for --engine ray; give both or neither")
            return LocalEngine(worker_count(config))
        from slimpajama.engine.ray import RayEngine

        if self.address is None:
            return RayEngine(cpus=worker_count(config))
        return RayEngine(self.address, memory=task_bytes(config))
