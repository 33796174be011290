"""A mixture as it lies there: each file against its manifest, and sequence by sequence against plan and token store.

The plan is made anew from the recipe in the manifest and what the store has; then each file is one item: its size and
digest, and each of its sequences, gathered from the store once more and compared token by token. Costs building the
mixture without writing it. A mixture of another store (its fingerprint tells) is compared with its manifest alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slimpajama.config.loading import checked
from slimpajama.config.recipe import Recipe
from slimpajama.errors import InputError, SlimpajamaError
from slimpajama.mixture.formats.provenance import PROVENANCE_ENDING, provenance_differences
from slimpajama.mixture.holdout_shape import HoldoutShape
from slimpajama.mixture.layout import HoldoutLayout, MixtureLayout
from slimpajama.mixture.manifest import MixtureFile, held_out_sources, read_holdout_manifest, read_mixture_manifest
from slimpajama.mixture.plan import plan_from_store
from slimpajama.mixture.stages.build import BuildPayload, BuildStage, file_groups
from slimpajama.mixture.stages.shared_holdout import SharedHoldoutStage, held_out_sequences
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.tokens.store import TokenStore, open_store
from slimpajama.verification.findings import REMEDY, Checked, damage, found_reading

__all__ = ["FileCheck", "check_file", "file_checks", "holdout_checks"]


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One file of the folder ``out``, what the manifest says of it, and how it is to come from the store, if known."""

    out: Path
    entry: MixtureFile
    planned: BuildPayload | None

    @property
    def path(self) -> Path:
        """The file."""
        return self.out / self.entry.name


def file_checks(out: Path, store: TokenStore) -> tuple[list[FileCheck], list[str]]:
    """The files of a mixture, and what is wrong with its manifest."""
    layout = MixtureLayout(out)
    path = layout.manifest
    try:
        manifest = read_mixture_manifest(out)
    except InputError as fault:
        return [], [str(fault)]
    entries = {entry.name: entry for entry in manifest.files}
    findings: list[str] = []
    if manifest.store.fingerprint != store.fingerprint:
        findings.append(
            f"{path} is of a token store that is there no more ({manifest.store.fingerprint}); run slimpajama "
            "mix with this recipe again to make the mixture from the store there is"
        )
        return [FileCheck(out, entry, None) for entry in manifest.files], findings
    try:
        recipe = checked(Recipe, manifest.recipe, str(path))
        plan = plan_from_store(store, recipe)
    except SlimpajamaError as fault:
        return [], [*findings, f"{path}: {fault}; {REMEDY}"]
    stages = [BuildStage(store, recipe, plan, layout, MIXTURE_FORMATS.get(name)) for name in manifest.formats]
    planned = {file.name: payload for stage in stages for payload in stage.payloads() for file in payload.output_files}
    sequences = {source.name: source.sequences for source in plan.sources}
    said = {source.source: source.sequences for source in manifest.plan.sources}
    if said != sequences:
        findings.append(f"{path} says {said} sequences, but the plan is {sequences}; {REMEDY}")
    measured = held_out_sources(plan, held_out_sequences(store, HoldoutShape.of(recipe)))
    if measured != manifest.holdout:
        findings.append(f"{path} says other weights or sequences of the shared holdout than there are; {REMEDY}")
    if set(planned) != set(entries):
        odd = sorted(set(planned) ^ set(entries))
        findings.append(f"{path} lists other files than the plan has, e.g. {odd[0]}; {REMEDY}")
    return [FileCheck(out, entry, planned.get(name)) for name, entry in entries.items()], findings


def holdout_checks(folder: Path, store: TokenStore) -> tuple[list[FileCheck], list[str]]:
    """The files of the shared holdout, and what is wrong with its manifest."""
    layout = HoldoutLayout(folder)
    path = layout.manifest
    try:
        manifest = read_holdout_manifest(folder)
    except InputError as fault:
        return [], [str(fault)]
    entries = {
        file.name: MixtureFile(
            file.name, file.bytes, file.blake2b, file.format, {file.source: file.sequences}, file.documents
        )
        for file in manifest.files
    }
    if manifest.store.fingerprint != store.fingerprint:
        finding = (
            f"{path} is of a token store that is there no more ({manifest.store.fingerprint}); run slimpajama mix with "
            "any of the recipes again to make the holdout from the store there is"
        )
        return [FileCheck(folder, entry, None) for entry in entries.values()], [finding]
    planned = {
        layout.relative(file): payload
        for shape, name in dict.fromkeys((file.shape, file.format) for file in manifest.files)
        for payload in SharedHoldoutStage(store, shape, layout, MIXTURE_FORMATS.get(name)).payloads()
        for file in payload.output_files
    }
    findings = []
    if set(planned) != set(entries):
        odd = sorted(set(planned) ^ set(entries))
        findings.append(f"{path} lists other files than the store has held out, e.g. {odd[0]}; {REMEDY}")
    return [FileCheck(folder, entry, planned.get(name)) for name, entry in entries.items()], findings


def check_file(check: FileCheck) -> Checked:
    """Check one file."""
    path = check.path
    findings = damage(path, check.entry.bytes, check.entry.blake2b)
    payload = check.planned
    if findings or payload is None:
        return Checked(findings)
    if check.entry.sequences != payload.sequences:
        findings.append(
            f"{path} holds {check.entry.sequences} sequences, but its plan is {payload.sequences}; {REMEDY}"
        )
    return Checked(findings + found_reading(path, lambda: _differences(path, payload)))


def _differences(path: Path, payload: BuildPayload) -> list[str]:
    store = open_store(payload.store)
    groups = file_groups(payload, store)
    if path.name.endswith(PROVENANCE_ENDING):
        return [f"{path} {clause}; {REMEDY}" for clause in provenance_differences(path, groups)]
    return [f"{path} {clause}; {REMEDY}" for clause in payload.format.differences(path, payload.shape(store), groups)]
