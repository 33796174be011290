"""The earlier deduplication that one is compared with, and why it cannot be the output itself."""

from __future__ import annotations

from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.dedup.files.key_index import Index, open_index
from slimpajama.dedup.files.layout import OWNED_FOLDERS
from slimpajama.errors import ConfigError
from slimpajama.pipeline.path_overlap import lies_inside, refuse_overlap
from slimpajama.storage.paths import path_of

__all__ = ["earlier_run"]


def earlier_run(config: Config, output: Path) -> Index | None:
    """The index of the run that the setting ``against`` names. Raises :class:`ConfigError` where it is the output."""
    if config.against is None:
        return None
    earlier = open_index(path_of(config.against))
    for run in map(path_of, earlier.runs):
        if lies_inside(run, output) and lies_inside(output, run):
            raise ConfigError(f"{output} cannot be deduplicated against itself; choose another output")
        refuse_overlap(run, output, read_as="earlier run", subfolders=OWNED_FOLDERS)
    return earlier
