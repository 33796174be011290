"""The dataset card of a mixture: what tells ``datasets`` which files are which split, and a person what is inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from slimpajama.config.recipe import Recipe
from slimpajama.mixture.formats.base import MixtureFormat
from slimpajama.mixture.plan import Plan, plan_table
from slimpajama.text_table import markdown_table

__all__ = ["dataset_card"]


def dataset_card(
    recipe: Recipe,
    plan: Plan,
    rows: Mapping[str, int],
    facts: Mapping[str, object],
    format: MixtureFormat,
    warnings: Sequence[str] = (),
) -> str:
    """The text of ``README.md``. ``rows``: sequences of each split that was written; ``facts``: lines to list;
    ``warnings``: what a reader should know of the plan."""
    header: dict[str, Any] = {
        **format.card_header(list(rows)),
        "task_categories": ["text-generation"],
        "pretty_name": recipe.name,
    }
    lines = ["---", yaml.safe_dump(header, sort_keys=False).strip(), "---", "", f"# {recipe.name}", ""]
    lines += [recipe.description.strip() or "A token-exact mixture of deduplicated text.", ""]
    lines += [f"* {name}: {value}" for name, value in facts.items()]
    lines += [f"* {split}: {count:,} sequences of {plan.sequence_length:,} tokens" for split, count in rows.items()]
    lines += ["", *markdown_table(plan_table(plan)), ""]
    if warnings:
        lines += [*(f"* Note: {warning}" for warning in warnings), ""]
    lines += [
        "Every file holds each source within one sequence of its share, nothing padded. Validation and test hold",
        "documents of the same sources, unweighted; train has no document of the clusters of near-duplicates that they",
        "are of. MinHash-LSH misses some near-duplicates, so train may still hold a few.",
        "",
        *format.contents,
        "",
    ]
    return "\n".join(lines)
