"""The processes that ``torchrun`` started to train each model together; without it, this process alone.

A process that is lost leaves the others in the middle of an exchange. PyTorch tells them by an error of its own, which
becomes :class:`~slimpajama.WorkerDied` here. ``torchrun`` can be lost too: its processes then end at once, as nobody
would end them. Costs one thread that looks for it five times a second.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator

import torch

from slimpajama.errors import WorkerDied

__all__ = ["joined", "launched", "place"]

LOOK_SECONDS = 0.2


def launched() -> bool:
    """Whether ``torchrun`` started this process, and it has joined the others."""
    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())


def place() -> tuple[int, int]:
    """The rank of this process, and how many there are."""
    if launched():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Join the other processes, where ``torchrun`` started this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
        yield
    except RuntimeError as fault:
        if not _is_of_exchange(fault):
            raise
        raise WorkerDied(
            "another process of torchrun was lost, likely for lack of memory; run the same command again: finished "
            "runs are kept, and the last one goes on from its checkpoint"
        ) from fault
    finally:
        if launched():
            torch.distributed.destroy_process_group()


def _is_of_exchange(fault: RuntimeError) -> bool:
    """Whether processes could not exchange data; gloo has no class of its own for it."""
    return isinstance(fault, torch.distributed.DistError) or "gloo" in str(fault)


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:  # it may be gone and still be listed, until somebody asks how it ended
        time.sleep(LOOK_SECONDS)
    os._exit(1)  # files are whole or absent
