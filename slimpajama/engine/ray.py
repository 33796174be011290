"""Work items on a Ray cluster: scheduling, retries and lost nodes are Ray's.

An item is a Ray task on one CPU, so a cluster runs as many at once as it has CPUs; at most two for each CPU are handed
to Ray at a time, since what waits there costs the driver memory and is scheduled without looking. A worker or node that
dies has its items tried again, elsewhere, three times; one whose item gives no sign of life ends itself, since nobody
else can see that. What the items read and write must be reachable from every node under the same name: a shared disk,
or a store. Every node needs this package, in the same version. Costs about a millisecond per item in the driver.
Rejected: Ray Data (it moves rows; here files are read where they are needed), and actors (they would have to be made
anew by hand).
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

from slimpajama.engine import Death, Item, Result, Retry, Trial
from slimpajama.engine.heartbeat import STALLED_AFTER, watched
from slimpajama.engine.resources import WORKER_BYTES
from slimpajama.engine.worker import Answer, handle
from slimpajama.errors import ConfigError, WorkerDied
from slimpajama.logging import LOGGER

__all__ = ["RayEngine"]

RETRIES = 3
IN_FLIGHT_PER_CPU = 2
_LOOK_SECONDS = 5.0
"""How often the size of the cluster is asked for."""


class RayEngine:
    """Run items on the cluster at ``address``, or, without one, on a Ray of this machine alone."""

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus: int | None = None,
        memory: int | None = None,
        stalled_after: float = STALLED_AFTER,
    ) -> None:
        """``cpus``: of a Ray of this machine. ``memory``: bytes that an item may hold beside its process, for which it
        is scheduled on a node that has them. ``stalled_after``: seconds without a sign of life after which an item is
        taken to hang.

        Raises :class:`ConfigError` where Ray is not installed.
        """
        self._ray = _imported()
        self._address = address
        self._cpus = cpus
        self._memory = memory
        self._stalled_after = stalled_after
        self._started = False
        self.workers = cpus or 1

    def __enter__(self) -> RayEngine:
        ray = self._ray
        if not ray.is_initialized():
            _reach(self._address)
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
            started: dict[str, Any] = {"num_cpus": self._cpus, "include_dashboard": False}
            before = signal.getsignal(signal.SIGTERM)
            try:
                ray.init(address=self._address or "local", **quiet, **({} if self._address else started))
            except (ConnectionError, ValueError, RuntimeError) as fault:
                raise _unreachable(self._address, fault) from fault
            finally:
                signal.signal(signal.SIGTERM, before)  # Ray's own would end this process without a word
            self._started = True
        self.workers = self._slots()
        if self._memory:
            try:
                self._can_be_had(WORKER_BYTES + self._memory)
            except ConfigError:
                self.__exit__()
                raise
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._started:
            self._ray.shutdown()
            self._started = False

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        name: Callable[[Item], str] = str,
        preload: Sequence[str] = (),
        memory: int | None = None,
        retry: Retry[Item] | None = None,
    ) -> Generator[tuple[int, Result], None, None]:
        """See :meth:`slimpajama.engine.Engine.map`; items of dead workers and nodes are tried three times more.

        Ray does not say how a worker ended, so ``retry`` is never told that it was by the item.
        """
        ray = self._ray
        resources: dict[str, Any] = {"num_cpus": 1}
        if self._memory:
            resources["memory"] = self._can_be_had(WORKER_BYTES + (self._memory if memory is None else memory))
        task = ray.remote(_handled).options(max_retries=0 if retry else RETRIES, **resources)
        waiting = list(range(len(items) - 1, -1, -1))
        trials: dict[int, Trial[Item]] = {}
        deaths = [0] * len(items)
        running: dict[Any, int] = {}
        slots, looked = self._slots(), time.monotonic()
        try:
            while True:
                if time.monotonic() - looked > _LOOK_SECONDS:
                    slots, looked = self._slots(), time.monotonic()
                while len(running) < IN_FLIGHT_PER_CPU * slots and waiting:
                    index = waiting.pop()
                    trial = trials.get(index) or Trial(items[index])
                    stalled_after = trial.stalled_after or self._stalled_after
                    level = LOGGER.getEffectiveLevel()
                    running[task.remote(function, trial.item, tuple(preload), level, stalled_after)] = index
                if not running:
                    return
                done, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_SECONDS)
                for reference in done:
                    index = running.pop(reference)
                    try:
                        answer: Answer = ray.get(reference)
                    except ray.exceptions.RayError as fault:
                        deaths[index] += 1
                        item = trials[index].item if index in trials else items[index]
                        death = Death(deaths[index], "was lost", False, deaths[index] <= RETRIES)
                        next_trial = retry(item, death) if retry else None
                        if next_trial is not None:
                            LOGGER.warning("the work on %s was lost; it is tried again", name(items[index]))
                            trials[index] = next_trial
                            waiting.append(index)
                            continue
                        times = deaths[index] if retry else RETRIES + 1
                        raise WorkerDied(
                            f"the work on {name(items[index])} was lost {times} times with its worker or node "
                            f"({' '.join(str(fault).split())[:200]}); most likely memory ran out: give the nodes fewer "
                            "CPUs or set a smaller memory; or it gave no sign of life for "
                            f"{self._stalled_after / 60:.0f} minutes: look after the storage; finished work is kept"
                        ) from fault
                    yield index, answer.taken()
        finally:
            for reference in running:  # left early: by an error, an interrupt, or whoever took the results
                ray.cancel(reference, force=True)

    def _can_be_had(self, memory: int) -> int:
        """``memory``. Raises :class:`ConfigError` where no node has so much, for which Ray would wait for ever."""
        most = max((node["Resources"].get("memory", 0) for node in self._ray.nodes() if node["Alive"]), default=0)
        if memory > most:
            raise ConfigError(
                f"an item may take {memory >> 20} MiB, but no node of the Ray cluster has more than "
                f"{int(most) >> 20} MiB: set a smaller memory, or more workers"
            )
        return memory

    def _slots(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))


def _imported() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as fault:
        raise ConfigError("the Ray engine needs Ray: pip install 'slimpajama[ray]', on every node") from fault


def _reach(address: str | None) -> None:
    """Ray itself tries for minutes. Raises :class:`ConfigError` where nobody listens at ``host:port``."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_LOOK_SECONDS).close()
        except OSError as fault:
            raise _unreachable(address, fault) from fault


def _unreachable(address: str | None, fault: Exception) -> ConfigError:
    return ConfigError(f"cannot reach a Ray cluster at {address}: {fault}; give the address that ray start said")


def _handled(
    function: Callable[[Any], Any], item: Any, preload: tuple[str, ...], log_level: int, stalled_after: float
) -> Answer:
    """In a worker: errors of the item are part of the answer; Ray sees only what takes the worker with it."""
    with watched(stalled_after):
        return handle(function, item, preload, log_level)
