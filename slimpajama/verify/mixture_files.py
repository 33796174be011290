"""A mixture as it lies there: each file against its manifest, and sequence by sequence against plan and token store.

The plan is made anew from the recipe in the manifest and what the store has; then each file is one item: its size and
digest, and each of its sequences, gathered from the store once more and compared token by token. Costs building the
mixture without writing it. A mixture of another store (its fingerprint tells) is compared with its manifest alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from slimpajama.config import checked
from slimpajama.engine.heartbeat import beat
from slimpajama.errors import SlimpajamaError
from slimpajama.mixture.build import FileItem, file_groups
from slimpajama.mixture.megatron import token_dtype
from slimpajama.mixture.output_files import OUTPUT_FILE, file_items, plan_from_store
from slimpajama.mixture.parquet import schema
from slimpajama.mixture.recipe import Recipe
from slimpajama.mixture.store import TokenStore
from slimpajama.storage import opened
from slimpajama.verify.findings import REMEDY, damage, found_reading
from slimpajama.workspace import read_json

__all__ = ["FileCheck", "check_file", "file_checks"]


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One file of the folder ``out``, what the manifest says of it, and how it is to come from the store, if known."""

    out: Path
    entry: Mapping[str, Any]
    item: FileItem | None

    @property
    def path(self) -> Path:
        """The file."""
        return self.out / str(self.entry["name"])


def file_checks(out: Path, store: TokenStore) -> tuple[list[FileCheck], list[str]]:
    """The files of a mixture, and what is wrong with its manifest."""
    path = out / "manifest.json"
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), list):
        return [], [f"{path} is missing or broken; {REMEDY}"]
    entries = {entry["name"]: entry for entry in manifest["files"]}
    strays = {found.name for found in out.iterdir() if OUTPUT_FILE.fullmatch(found.name)} - set(entries)
    findings = [f"{out / name} is of no mixture that the manifest lists; remove it" for name in sorted(strays)]
    if manifest["store"]["fingerprint"] != store.fingerprint:
        findings.append(
            f"{path} is of a token store that is there no more ({manifest['store']['fingerprint']}); run slimpajama "
            "mix with this recipe again to make the mixture from the store there is"
        )
        return [FileCheck(out, entry, None) for entry in manifest["files"]], findings
    try:
        recipe = checked(Recipe, manifest["recipe"], str(path))
        plan = plan_from_store(store, recipe)
    except SlimpajamaError as fault:
        return [], [*findings, f"{path}: {fault}; {REMEDY}"]
    planned = {
        file.name: item
        for item in file_items(store, recipe, plan, out, manifest["format"])
        for file in item.output_files
    }
    sequences = {source.name: source.sequences for source in plan.sources}
    said = {source["source"]: source["sequences"] for source in manifest["plan"]["sources"]}
    if said != sequences:
        findings.append(f"{path} says {said} sequences, but the plan is {sequences}; {REMEDY}")
    if set(planned) != set(entries):
        odd = sorted(set(planned) ^ set(entries))
        findings.append(f"{path} lists other files than the plan has, e.g. {odd[0]}; {REMEDY}")
    return [FileCheck(out, entry, planned.get(name)) for name, entry in entries.items()], findings


def check_file(check: FileCheck) -> dict[str, Any]:
    """``findings`` in one file."""
    path = check.path
    findings = damage(path, check.entry["bytes"], check.entry["blake2b"])
    item = check.item
    if findings or item is None:
        return {"findings": findings}
    planned = {source: last - first for source, (first, last) in zip(item.sources, item.slices, strict=True)}
    if check.entry["sequences"] != planned:
        findings.append(f"{path} holds {check.entry['sequences']} sequences, but its plan is {planned}; {REMEDY}")
    compare = _compare_parquet if path.suffix == ".parquet" else _compare_megatron
    return {"findings": findings + found_reading(path, lambda: compare(path, item))}


def _compare_parquet(path: Path, item: FileItem) -> list[str]:
    store = item.opener(item.store)
    with opened(path) as source, pq.ParquetFile(source) as file:
        if not file.schema_arrow.equals(schema(item.length)):
            return [f"{path} has other columns than a mixture has; {REMEDY}"]
        row = 0
        for group, (tokens, starts, sources) in enumerate(file_groups(item, store)):
            beat()
            rows = tokens.shape[0]
            if group == file.num_row_groups:
                return [f"{path} ends after {row:,} sequences; {REMEDY}"]
            table = file.read_row_group(group)
            inside = np.searchsorted(starts, np.arange(rows + 1) * item.length)
            expected = {
                "input_ids": tokens.ravel(),
                "source": np.array(item.sources, dtype=object)[sources],
                "doc_starts": starts % item.length,
            }
            found: dict[str, Any] = {
                "input_ids": table.column("input_ids").combine_chunks().flatten().to_numpy(),
                "source": table.column("source").combine_chunks().dictionary_decode().to_numpy(zero_copy_only=False),
                "doc_starts": table.column("doc_starts").combine_chunks().flatten().to_numpy(),
            }
            counts = table.column("doc_starts").combine_chunks().value_lengths().to_numpy()
            for name, values in expected.items():
                if not np.array_equal(found[name], values):
                    return [f"{path}: column {name} differs from plan and store in row group {group}; {REMEDY}"]
            if not np.array_equal(counts, np.diff(inside)):
                return [f"{path}: documents begin in other sequences of row group {group} than planned; {REMEDY}"]
            row += rows
    return [] if row == file.metadata.num_rows else [f"{path} holds more than the {row:,} planned sequences; {REMEDY}"]


def _compare_megatron(path: Path, item: FileItem) -> list[str]:
    if path.suffix == ".idx":  # where sequences of one length lie; its digest has told that it is as written
        return []
    store = item.opener(item.store)
    kind = token_dtype(store.vocabulary)
    row = 0
    with opened(path) as file:
        for tokens, _, _ in file_groups(item, store):
            beat()
            if not np.array_equal(np.frombuffer(file.read(tokens.size * kind.itemsize), dtype=kind), tokens.ravel()):
                return [f"{path} differs from plan and store after sequence {row:,}; {REMEDY}"]
            row += tokens.shape[0]
        if file.read(1):
            return [f"{path} holds more than the {row:,} planned sequences; {REMEDY}"]
    return []
