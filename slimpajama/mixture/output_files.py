"""The files a mixture consists of: what is in each, and which names in its folder are such files."""

from __future__ import annotations

import re
from pathlib import Path

from slimpajama.config.recipe import Recipe
from slimpajama.mixture.formats.base import MixtureFormat, mixture_format
from slimpajama.mixture.plan import Plan, plan_mixture, share_out
from slimpajama.mixture.stages.build import FileItem
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.tokens.holdout import SPLITS
from slimpajama.tokens.store import TokenStore, open_store

__all__ = ["file_items", "held_out_tokens", "is_foreign", "is_output_file", "plan_from_store"]


def is_output_file(name: str) -> bool:
    """Whether a file of that name in the folder of a mixture is one of its files, in any format."""
    endings = (ending for one in MIXTURE_FORMATS.names for ending in mixture_format(one).endings)
    pattern = rf"({'|'.join(SPLITS)})-\d+-of-\d+({'|'.join(map(re.escape, endings))})(\.tmp)?"
    return re.fullmatch(pattern, name) is not None


def is_foreign(folder: Path) -> bool:
    """Whether something else than a mixture, begun or finished, lies in ``folder``."""
    if not folder.exists():
        return False
    if not folder.is_dir():
        return True
    names = {path.name for path in folder.iterdir()}
    if {"manifest.json", ".done"} & names:
        return False
    whole = (re.sub(r"\.[0-9a-f]+\.tmp$", "", name) for name in names)
    return not all(name in ("README.md", "manifest.json") or is_output_file(name) for name in whole)


def plan_from_store(store: TokenStore, recipe: Recipe) -> Plan:
    """The recipe's plan, given what the store has. Raises :class:`~slimpajama.errors.ConfigError`."""
    available = {source: store.stream(source, "train", recipe.scope).tokens for source in store.sources}
    return plan_mixture(recipe, available)


def held_out_tokens(store: TokenStore, scope: str) -> dict[str, dict[str, int]]:
    """By held-out split, the tokens that each source of the store has in it."""
    return {
        split: {source: store.stream(source, split, scope).tokens for source in store.sources} for split in SPLITS[1:]
    }


def file_items(store: TokenStore, recipe: Recipe, plan: Plan, out: Path, format: MixtureFormat) -> list[FileItem]:
    """All files of the mixture in the folder ``out``, split by split."""
    return [item for split in SPLITS for item in _of_split(store, recipe, plan, out, split, format)]


def _of_split(
    store: TokenStore, recipe: Recipe, plan: Plan, out: Path, split: str, format: MixtureFormat
) -> list[FileItem]:
    """Validation and test take all whole sequences that their streams have, once."""
    sources = tuple(source.name for source in plan.sources)
    bounds = plan.bounds
    if split != "train":
        counts = [store.stream(source, split, recipe.scope).tokens // plan.sequence_length for source in sources]
        total = sum(counts)
        if not total:
            return []
        files = max(1, round(total * plan.sequence_length / recipe.file_tokens))
        bounds = share_out(counts, min(files, total))
    files = bounds.shape[0] - 1
    return [
        FileItem(
            store=store.path,
            opener=open_store,
            stem=out / f"{split}-{number:05d}-of-{files:05d}",
            split=split,
            scope=recipe.scope,
            number=number,
            seed=recipe.seed,
            length=plan.sequence_length,
            sources=sources,
            slices=tuple(zip(bounds[number].tolist(), bounds[number + 1].tolist(), strict=True)),
            format=format,
        )
        for number in range(files)
    ]
