"""One small object of a store that is created, read and replaced under a condition.

S3 has the conditions; through fsspec they are reached by its client's own calls. Other stores can at most create an
object that is not there yet; a replacement there is a comparison followed by a write, which another write may slip
between, so nothing that must not happen twice may rest on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, cast

__all__ = ["LockObject", "lock_object"]

NO_VERSION = '"00000000000000000000000000000000"'


class LockObject(Protocol):
    """Each write returns the new version, or ``None`` where the condition does not hold. All raise :class:`OSError`."""

    def create(self, content: bytes) -> str | None:
        """Write it if there is none."""

    def read(self) -> tuple[bytes, str]:
        """Content and version. Raises :class:`FileNotFoundError`."""

    def replace(self, content: bytes, version: str) -> str | None:
        """Write it if it has this version."""

    def heeds_versions(self, content: bytes) -> bool:
        """Whether the condition of :meth:`replace` is kept by the store; ``content`` is what lies there."""

    def remove(self) -> None:
        """Remove it, whatever it is."""


def lock_object(path: Path) -> LockObject:
    """The object at ``path``, a URL."""
    store, name = cast(Any, path).fs, cast(Any, path).path
    return _S3Object(store, name) if hasattr(store, "call_s3") else _OtherObject(store, name)


class _S3Object:
    def __init__(self, store: Any, name: str) -> None:
        self._store, self._name = store, name
        self._bucket, self._key, _ = store.split_path(name)

    def create(self, content: bytes) -> str | None:
        return self._put(content, IfNoneMatch="*")

    def replace(self, content: bytes, version: str) -> str | None:
        return self._put(content, IfMatch=version)

    def _put(self, content: bytes, **condition: str) -> str | None:
        try:
            answer = self._store.call_s3("put_object", Bucket=self._bucket, Key=self._key, Body=content, **condition)
        except OSError as fault:
            if _condition_failed(fault) or ("IfMatch" in condition and _is_missing(fault)):
                return None
            raise
        self._store.invalidate_cache(self._name)
        return str(answer["ETag"])

    def read(self) -> tuple[bytes, str]:
        from fsspec.asyn import sync  # type: ignore[import-untyped]

        async def fetched() -> tuple[bytes, str]:
            answer = await self._store._call_s3("get_object", Bucket=self._bucket, Key=self._key)
            async with answer["Body"] as body:
                return bytes(await body.read()), str(answer["ETag"])

        found: tuple[bytes, str] = sync(self._store.loop, fetched)
        return found

    def heeds_versions(self, content: bytes) -> bool:
        """Tried with a version that it has not; where that is ignored, the same content is written again."""
        return self.replace(content, NO_VERSION) is None

    def remove(self) -> None:
        self._store.rm_file(self._name)


def _condition_failed(fault: OSError) -> bool:
    """412, or 409: another conditional write was under way."""
    answer = getattr(fault.__cause__, "response", None) or {}
    return answer.get("ResponseMetadata", {}).get("HTTPStatusCode") in (409, 412)


def _is_missing(fault: OSError) -> bool:
    answer = getattr(fault.__cause__, "response", None) or {}
    return bool(answer.get("Error", {}).get("Code") == "NoSuchKey")


class _OtherObject:
    def __init__(self, store: Any, name: str) -> None:
        self._store, self._name = store, name

    def create(self, content: bytes) -> str | None:
        try:
            self._store.pipe_file(self._name, content, mode="create")
        except FileExistsError:
            return None
        return content.decode()

    def read(self) -> tuple[bytes, str]:
        content = bytes(self._store.cat_file(self._name))
        return content, content.decode(errors="replace")

    def replace(self, content: bytes, version: str) -> str | None:
        if self.read()[1] != version:
            return None
        self._store.pipe_file(self._name, content)
        return content.decode()

    def heeds_versions(self, content: bytes) -> bool:
        return False

    def remove(self) -> None:
        self._store.rm_file(self._name)
