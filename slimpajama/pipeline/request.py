"""What an output was last asked to be: written when a run starts, so that its state can be told without its command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from slimpajama.errors import InputNotFound
from slimpajama.storage.sealed_json import read_sealed, write_sealed

__all__ = ["REQUEST", "Command", "from_anywhere", "is_of_run", "read_request", "write_request"]

REQUEST = "request.json"

Command = Literal["dedup", "mix", "run"]


def write_request(output: Path, command: Command, arguments: Mapping[str, Any]) -> None:
    """Write ``output/request.json`` unless it is there; ``arguments`` are values as JSON has them."""
    request = {"command": command, **arguments}
    if read_sealed(output / REQUEST) != request:
        write_sealed(output / REQUEST, request)


def from_anywhere(given: str | None, folder: Path = Path()) -> str | None:
    """A place that was given relative to ``folder`` or to the current one as one that is found from any; what lies in
    neither stays as it is, as URLs and names on a hub do."""
    if given is None or "://" in given:
        return given
    there = [path for path in (folder / given, Path(given)) if path.exists()]
    return str(there[0].resolve()) if there else given


def read_request(output: Path) -> dict[str, Any]:
    """The last request. Raises :class:`InputNotFound` where nothing was ever asked for."""
    request = read_sealed(output / REQUEST)
    if request is None or request.get("command") not in ("dedup", "mix", "run"):
        raise InputNotFound(
            f"{output} is not the output of a run, its {REQUEST} is missing or damaged; give the folder that --output "
            "said, or run the same command again"
        )
    return request


def is_of_run(output: Path) -> bool:
    """Whether ``output`` was last asked to be that of ``slimpajama run``."""
    request = read_sealed(output / REQUEST)
    return request is not None and request.get("command") == "run"
