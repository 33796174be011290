"""Dataset cards: what tells ``datasets`` which files are which split, and a person what is inside."""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.config.recipe import Recipe
from slimpajama.mixture.formats.base import MixtureFormat
from slimpajama.mixture.manifest import HoldoutManifest, MixtureManifest
from slimpajama.mixture.plan import Plan
from slimpajama.mixture.plan_text import phase_table, plan_table
from slimpajama.text_table import markdown_table

__all__ = ["dataset_card", "holdout_card"]


def dataset_card(recipe: Recipe, plan: Plan, manifest: MixtureManifest, formats: Sequence[MixtureFormat]) -> str:
    """The text of ``README.md`` of a mixture, which lies there in ``formats``."""
    header: dict[str, object] = {}
    for one in reversed(formats):
        header |= one.card_header(["train"])
    facts = {
        "scope": recipe.scope,
        "seed": recipe.seed,
        "vocabulary": manifest.store.vocabulary,
        "end of text": manifest.store.end_of_text,
        "token store": manifest.store.fingerprint,
    }
    lines = [*_head(header, recipe.name)]
    lines += [recipe.description.strip() or "A token-exact mixture of deduplicated text.", ""]
    lines += [f"* {name}: {value}" for name, value in facts.items()]
    lines += [f"* train: {plan.sequences:,} sequences of {plan.sequence_length:,} tokens"]
    lines += [f"* packing: {recipe.packing}; {_packing(manifest, plan)}"]
    lines += ["", *markdown_table(plan_table(plan)), ""]
    begin = 0
    for phase in plan.phases if len(plan.phases) > 1 else ():
        lines += [f"Phase {phase.name}, files {begin:,} to {begin + phase.files - 1:,}:", ""]
        lines += [*markdown_table(phase_table(phase, plan.sequence_length)), ""]
        begin += phase.files
    lines += _validation(manifest)
    if manifest.warnings:
        lines += [*(f"* Note: {warning}" for warning in manifest.warnings), ""]
    lines += [
        "Every file holds each source within one sequence of its share. Train has no document of the clusters of",
        "near-duplicates that held-out documents are of. The token store's `summary.json` counts what else is not in",
        "train: `near_held_out` are documents that share much with a held-out one.",
        "",
        *(_PADDING if recipe.packing != "concat" else ()),
        *(_PROVENANCE if recipe.provenance else ()),
        *(line for one in formats for line in (*one.contents, "")),
    ]
    return "\n".join(lines)


_PADDING = (
    "Sequences end in padding where nothing fitted: end-of-text tokens after the one of the last document. In Parquet",
    "and MDS, `padding_start` is where it begins, the length of the sequence where there is none.",
    "",
)

_PROVENANCE = (
    "`document_ids` are the documents of each sequence, by their ids in the decisions, and `document_tokens` how many",
    "tokens are of each: columns of Parquet, or, for other formats, of the Parquet files that end in `.provenance`.",
    "",
)


def _packing(manifest: MixtureManifest, plan: Plan) -> str:
    """What packing did, in percent."""
    packed = manifest.packed
    tokens = plan.sequences * plan.sequence_length
    return (
        f"{100 * packed.cut / max(1, packed.documents):.2f} % of {packed.documents:,} documents are not whole in one "
        f"sequence, {100 * packed.padding / tokens:.3f} % of the tokens are padding"
    )


def _validation(manifest: MixtureManifest) -> list[str]:
    """How to measure the mixture on what is held out."""
    rows = [("source", "weight", "validation", "test")]
    rows += [(one.source, f"{one.weight:.6f}", f"{one.validation:,}", f"{one.test:,}") for one in manifest.holdout]
    return [
        "Validation and test are in `../holdout`, by source, the same for all mixtures of this token store. Measure",
        "this mixture by the mean of the losses of its sources, by these weights; the numbers are sequences.",
        "",
        *markdown_table(rows),
        "",
    ]


def holdout_card(manifest: HoldoutManifest, formats: Sequence[MixtureFormat], warnings: Sequence[str]) -> str:
    """The text of ``README.md`` of the shared holdout; each source and shape is a configuration of ``datasets``.

    ``warnings``: of the token store, as its summary has them.
    """
    header: dict[str, object] = {}
    shapes = dict.fromkeys((file.source, file.shape) for file in manifest.files)
    if any(one.name == "parquet" for one in formats):
        configs = []
        for source, shape in shapes:
            splits = [split for split in ("validation", "test") if manifest.files_of(source, split, shape, "parquet")]
            files = [{"split": split, "path": f"{source}/{split}-{shape.name}-*.parquet"} for split in splits]
            configs += [{"config_name": f"{source}-{shape.name}", "data_files": files}] if files else []
        header["configs"] = configs
    rows = [("source", "tokens of a sequence", "validation", "test")]
    for source, shape in shapes:
        counts = [
            max(
                sum(
                    file.sequences
                    for file in manifest.files_of(source, split, shape, one.name)
                    if file.name.endswith(one.endings[0])
                )
                for one in formats
            )
            for split in ("validation", "test")
        ]
        rows.append((source, shape.in_words, f"{counts[0]:,}", f"{counts[1]:,}"))
    lines = [*_head(header, "holdout")]
    lines += [
        "What is held out of each source, in sequences: the same for all mixtures of this token store, so that every",
        "mixture is measured on every source. The manifest of a mixture says by which weights it is measured.",
        "",
        f"* token store: {manifest.store.fingerprint}",
        "",
        *markdown_table(rows),
        "",
        *(f"* Note: {warning}" for warning in warnings),
        *([""] if warnings else ()),
        *(line for one in formats for line in (*one.contents, "")),
    ]
    return "\n".join(lines)


def _head(header: dict[str, object], name: str) -> list[str]:
    import yaml

    header = {**header, "task_categories": ["text-generation"], "pretty_name": name}
    return ["---", yaml.safe_dump(header, sort_keys=False).strip(), "---", "", f"# {name}", ""]
