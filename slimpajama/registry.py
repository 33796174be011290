"""The lists of what people can add by name, built-in entries first.

A registry knows the names of its built-in entries without importing them, so that settings can be checked before
anything heavy is loaded; an entry is imported when it is first asked for. Entries from outside are objects with a
``name``, registered in a module that workers import too. Rejected: scanning installed packages for plug-ins (it costs
every start a second, and a package nobody asked for can change a run).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from slimpajama.errors import ConfigError

if TYPE_CHECKING:  # types alone: what the registries hold knows the modules that use them
    from slimpajama.corpus.codecs import Codec as Codec
    from slimpajama.corpus.formats.base import InputFormat as InputFormat
    from slimpajama.corpus.shard_formats import ShardFormat
    from slimpajama.dedup.key_methods import KeyMethod
    from slimpajama.mixture.formats.base import MixtureFormat

__all__ = ["CODECS", "INPUT_FORMATS", "KEY_METHODS", "MIXTURE_FORMATS", "SHARD_FORMATS", "Registry"]


class Named(Protocol):
    """What can be registered."""

    @property
    def name(self) -> str:
        """Unique in its registry."""
        ...


Entry = TypeVar("Entry", bound=Named)


class Registry(Generic[Entry]):
    """Entries by name. ``kind``: what a message calls one. ``built_in``: name → ``module:class``."""

    def __init__(self, kind: str, built_in: Mapping[str, str]) -> None:
        self.kind = kind
        self._built_in = built_in
        self._entries: dict[str, Entry] = {}

    def register(self, entry: Entry) -> None:
        """Make ``entry`` known by its name; another instance of its class takes its place.

        Raises :class:`ConfigError` for a class, and where another entry has that name.
        """
        if isinstance(entry, type):
            raise ConfigError(f"{entry.__name__} is a class; register an instance of it as a {self.kind}")
        known = self._entries.get(entry.name)
        if entry.name in self._built_in or (known is not None and type(known) is not type(entry)):
            raise ConfigError(f"another {self.kind} is called {entry.name!r} already; give the new one another name")
        self._entries[entry.name] = entry

    def unregister(self, name: str) -> None:
        """Forget an entry from outside, as tests do with what they registered."""
        if name not in self._built_in:
            self._entries.pop(name, None)

    def get(self, name: str) -> Entry:
        """The entry of that name. Raises :class:`ConfigError` with the names there are."""
        if name not in self._entries and name in self._built_in:
            module, _, cls = self._built_in[name].partition(":")
            self._entries[name] = getattr(importlib.import_module(module), cls)()
        if name not in self._entries:
            raise ConfigError(f"there is no {self.kind} {name!r}; choose one of {', '.join(self.names)}")
        return self._entries[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Of all entries, the built-in ones first."""
        return (*self._built_in, *(name for name in self._entries if name not in self._built_in))


MIXTURE_FORMATS: Registry[MixtureFormat] = Registry(
    "mixture format",
    {
        "parquet": "slimpajama.mixture.formats.parquet:ParquetFormat",
        "megatron": "slimpajama.mixture.formats.megatron:MegatronFormat",
        "olmo": "slimpajama.mixture.formats.olmo:OlmoFormat",
        "nanotron": "slimpajama.mixture.formats.nanotron:NanotronFormat",
        "nanogpt": "slimpajama.mixture.formats.nanogpt:NanogptFormat",
        "mds": "slimpajama.mixture.formats.mds:MdsFormat",
    },
)

INPUT_FORMATS: Registry[InputFormat] = Registry(
    "input format",
    {
        "jsonl": "slimpajama.corpus.formats.jsonl:JsonLinesFormat",
        "json": "slimpajama.corpus.formats.jsonl:JsonFormat",
        "parquet": "slimpajama.corpus.formats.parquet:ParquetShards",
    },
)
"""The formats of input shards. See :mod:`slimpajama.corpus.formats.base`."""

CODECS: Registry[Codec] = Registry(
    "codec",
    {
        "none": "slimpajama.corpus.codecs:PlainCodec",
        "zst": "slimpajama.corpus.zstd_frames:ZstCodec",
        "gz": "slimpajama.corpus.codecs:GzCodec",
        "bz2": "slimpajama.corpus.codecs:Bz2Codec",
        "xz": "slimpajama.corpus.codecs:XzCodec",
        "lz4": "slimpajama.corpus.codecs:Lz4Codec",
    },
)
"""How shards may be compressed. See :mod:`slimpajama.corpus.codecs`."""

SHARD_FORMATS: Registry[ShardFormat] = Registry(
    "shard format", {"jsonl.zst": "slimpajama.corpus.shard_formats:JsonLinesZst"}
)
"""How deduplicated shards are stored. See :mod:`slimpajama.corpus.shard_formats`."""

KEY_METHODS: Registry[KeyMethod] = Registry(
    "key method",
    {
        "minhash": "slimpajama.dedup.key_methods:MinHash",
        "one-permutation": "slimpajama.dedup.key_methods:OnePermutation",
    },
)
"""How band keys are made. See :mod:`slimpajama.dedup.key_methods`."""
