"""What an output was last asked to be: written when a run starts, so that its state can be told without its command."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from slimpajama.errors import InputNotFound
from slimpajama.storage.sealed_json import read_sealed, write_sealed

__all__ = [
    "REQUEST",
    "DedupRequest",
    "MixRequest",
    "Request",
    "RunRequest",
    "command_of",
    "from_anywhere",
    "last_request",
    "read_request",
    "write_request",
]

REQUEST = "request.json"


class DedupRequest(msgspec.Struct, frozen=True, kw_only=True, tag="dedup", tag_field="command"):
    """Deduplicate ``input``. ``settings``: of a ``Config``, as JSON; checked when they are used."""

    input: str
    settings: dict[str, object]


class MixRequest(msgspec.Struct, frozen=True, kw_only=True, tag="mix", tag_field="command"):
    """Mix the deduplication ``input`` by ``recipes``. ``settings``: of a ``TokenConfig``."""

    input: str
    recipes: list[dict[str, object]]
    settings: dict[str, object]
    format: str


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, tag="run", tag_field="command"):
    """Do all that ``config`` (a ``RunConfig``) asks for; paths in it are relative to ``folder``."""

    config: dict[str, object]
    folder: str


Request: TypeAlias = DedupRequest | MixRequest | RunRequest
_AnyRequest: Any = DedupRequest | MixRequest | RunRequest


def write_request(output: Path, request: Request) -> None:
    """Write ``output/request.json``, unless it says so already."""
    content = msgspec.to_builtins(request)
    if read_sealed(output / REQUEST) != content:
        write_sealed(output / REQUEST, content)


def command_of(request: Request) -> str:
    """The command that the request was made by: ``dedup``, ``mix`` or ``run``."""
    return str(request.__struct_config__.tag)


def from_anywhere(given: str | None, folder: Path = Path()) -> str | None:
    """A place that was given relative to ``folder`` or to the current one as one that is found from any; what lies in
    neither stays as it is, as URLs and names on a hub do."""
    if given is None or "://" in given:
        return given
    there = [path for path in (folder / given, Path(given)) if path.exists()]
    return str(there[0].resolve()) if there else given


def last_request(output: Path) -> Request | None:
    """The last request; ``None`` where nothing was asked for, or what was is not readable."""
    content = read_sealed(output / REQUEST)
    try:
        return None if content is None else msgspec.convert(content, _AnyRequest)
    except msgspec.ValidationError:
        return None


def read_request(output: Path) -> Request:
    """The last request. Raises :class:`InputNotFound` where nothing was ever asked for."""
    request = last_request(output)
    if request is None:
        raise InputNotFound(
            f"{output} is not the output of a run, its {REQUEST} is missing or damaged; give the folder that --output "
            "said, or run the same command again"
        )
    return request
