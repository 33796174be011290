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

from slimpajama.config.loading import checked
from slimpajama.config.recipe import Recipe
from slimpajama.errors import SlimpajamaError
from slimpajama.mixture.formats.base import mixture_format
from slimpajama.mixture.output_files import file_items, plan_from_store
from slimpajama.mixture.stages.build import FileItem, file_groups
from slimpajama.storage.atomic import read_json
from slimpajama.tokens.store import TokenStore
from slimpajama.verify.findings import REMEDY, Checked, damage, found_reading

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
    findings: list[str] = []
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
        for item in file_items(store, recipe, plan, out, mixture_format(manifest["format"]))
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


def check_file(check: FileCheck) -> Checked:
    """Check one file."""
    path = check.path
    findings = damage(path, check.entry["bytes"], check.entry["blake2b"])
    item = check.item
    if findings or item is None:
        return Checked(findings)
    planned = {source: last - first for source, (first, last) in zip(item.sources, item.slices, strict=True)}
    if check.entry["sequences"] != planned:
        findings.append(f"{path} holds {check.entry['sequences']} sequences, but its plan is {planned}; {REMEDY}")
    return Checked(findings + found_reading(path, lambda: _differences(path, item)))


def _differences(path: Path, item: FileItem) -> list[str]:
    store = item.opener(item.store)
    groups = file_groups(item, store)
    return [f"{path} {clause}; {REMEDY}" for clause in item.format.differences(path, item.shape(store), groups)]
