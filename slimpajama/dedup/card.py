"""The dataset card of a folder of deduplicated shards, with which ``datasets.load_dataset(folder)`` opens all of them.

Members of ``meta`` differ from source to source, and sometimes from line to line. ``datasets`` takes the columns of the
first shard for those of all others, and stops at the first that differs. The card says that ``meta`` is any JSON
object. Rejected: writing only what all sources share, which loses the rest, and ``meta`` as a string of JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimpajama.config.dedup import Scope
from slimpajama.dedup.summary import SourceFigures
from slimpajama.text_table import markdown_table

__all__ = ["shards_by_split", "shards_card"]

_HEADER = {
    "dataset_info": {
        "config_name": "default",
        "features": [{"name": "text", "dtype": "string"}, {"name": "meta", "dtype": "json"}],
    },
    "task_categories": ["text-generation"],
}


def shards_by_split(shards: Sequence[tuple[str, str]], ending: str) -> dict[str, list[str]]:
    """By split, patterns that match its shards; ``shards``: the path and the published split of each."""
    folders: dict[str, set[str]] = {}
    for path, split in shards:
        folders.setdefault(path.rpartition("/")[0], set()).add(split)
    found: dict[str, dict[str, None]] = {}
    for path, split in shards:
        folder = path.rpartition("/")[0]
        found.setdefault(split, {})[f"{folder}/*{ending}" if len(folders[folder]) == 1 else path] = None
    return {split: [*patterns] for split, patterns in found.items()}


def shards_card(
    scope: Scope,
    ending: str,
    sources: Mapping[str, SourceFigures],
    duplicate_counts: bool = True,
    splits: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The text of ``README.md`` for the shards of one scope, whose names end in ``ending``.

    ``duplicate_counts``: whether records say what they stand for. ``splits``: of each split of the input, patterns for
    its shards; all are train without it.
    """
    import yaml

    rows = [("source", "documents", "bytes of text")]
    for name, figures in sources.items():
        kept = figures.of(scope).kept
        rows.append((name, f"{kept.documents:,}", f"{kept.bytes:,}"))
    where = "across all sources" if scope == "global" else "within each source"
    paths: Mapping[str, str | Sequence[str]] = splits or {"train": f"**/*{ending}"}
    files = [{"split": split, "path": path} for split, path in paths.items()]
    header = {"configs": [{"config_name": "default", "data_files": files}], **_HEADER}
    lines = ["---", yaml.safe_dump(header, sort_keys=False).strip(), "---", "", f"# Deduplicated {where}", ""]
    lines += [f"Documents of which no near-duplicate that comes first was found {where}.", ""]
    lines += ["* `text`: the document", "* `meta`: its other fields, and `redpajama_set_name`, its source"]
    if duplicate_counts:
        lines.append(
            "* `meta.duplicates`: how many documents of the input it stands for, itself among them, across all sources "
            "(`global`) and within its own (`local`), how many of them have the very same text (`exact`), and in which "
            "`sources` they are; null where that scope does not keep it"
        )
    lines.append("")
    return "\n".join([*lines, *markdown_table(rows), ""])
