"""The dataset card of a mixture: what tells ``datasets`` which files are which split, and a person what is inside."""

from __future__ import annotations

from slimpajama.config.recipe import Recipe
from slimpajama.mixture.formats.base import MixtureFormat
from slimpajama.mixture.manifest import MixtureManifest
from slimpajama.mixture.plan import Plan, plan_table
from slimpajama.text_table import markdown_table

__all__ = ["dataset_card"]


def dataset_card(recipe: Recipe, plan: Plan, manifest: MixtureManifest, format: MixtureFormat) -> str:
    """The text of ``README.md``."""
    import yaml

    rows = {split: count for split, count in manifest.sequences.by_split.items() if count}
    header: dict[str, object] = {
        **format.card_header(list(rows)),
        "task_categories": ["text-generation"],
        "pretty_name": recipe.name,
    }
    facts = {
        "scope": recipe.scope,
        "seed": recipe.seed,
        "vocabulary": manifest.store.vocabulary,
        "end of text": manifest.store.end_of_text,
        "token store": manifest.store.fingerprint,
    }
    lines = ["---", yaml.safe_dump(header, sort_keys=False).strip(), "---", "", f"# {recipe.name}", ""]
    lines += [recipe.description.strip() or "A token-exact mixture of deduplicated text.", ""]
    lines += [f"* {name}: {value}" for name, value in facts.items()]
    lines += [f"* {split}: {count:,} sequences of {plan.sequence_length:,} tokens" for split, count in rows.items()]
    lines += ["", *markdown_table(plan_table(plan)), ""]
    if manifest.warnings:
        lines += [*(f"* Note: {warning}" for warning in manifest.warnings), ""]
    lines += [
        "Every file holds each source within one sequence of its share, nothing padded. Validation and test hold",
        "documents of the same sources, unweighted; train has no document of the clusters of near-duplicates that they",
        "are of. MinHash-LSH misses some near-duplicates, so train may still hold a few.",
        "",
        *format.contents,
        "",
    ]
    return "\n".join(lines)
