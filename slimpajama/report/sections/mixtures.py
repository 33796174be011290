"""All mixtures of an output side by side: what was asked for and what they hold, and the holdout they share.

Costs reading manifests; where a recipe repeats by duplicates, also the rows of the pieces in the store.
"""

from __future__ import annotations

from dataclasses import replace

from slimpajama.config.loading import checked
from slimpajama.config.part import part_of, ranges_of
from slimpajama.config.recipe import Recipe
from slimpajama.mixture.manifest import MixtureManifest
from slimpajama.mixture.parts import selection_of
from slimpajama.report.figures.mixtures import HeldOut, MixtureRow, MixtureSection, MixtureSourceRow
from slimpajama.report.opened_output import OpenedMixtures
from slimpajama.tokens.store import TokenStore

__all__ = ["mixtures"]


def mixtures(opened: OpenedMixtures) -> MixtureSection:
    """The mixtures by name, and what is held out of each source in the global scope."""
    accounts = {name: opened.summary.sources[name].global_ for name in opened.store.sources}
    return MixtureSection(
        mixtures=tuple(_mixture(name, own, opened.store) for name, own in opened.mixtures.items()),
        holdout=tuple(
            HeldOut(
                source=name,
                validation_documents=own.documents.validation,
                validation_tokens=own.tokens.validation,
                test_documents=own.documents.test,
                test_tokens=own.tokens.test,
                near_held_out_documents=own.documents.near_held_out,
                excluded_documents=own.documents.excluded,
            )
            for name, own in accounts.items()
        ),
    )


def _mixture(name: str, manifest: MixtureManifest, store: TokenStore) -> MixtureRow:
    recipe = checked(Recipe, manifest.recipe, f"the manifest of {name}")
    return MixtureRow(
        name=name,
        title=recipe.description or name,
        scope=recipe.scope,
        sequences=manifest.plan.sequences,
        sequence_length=recipe.tokens_per_sequence,
        tokens=manifest.plan.tokens,
        documents=manifest.packed.documents,
        cut_documents=manifest.packed.cut,
        padding=manifest.packed.padding,
        packing=recipe.packing,
        formats=manifest.formats,
        sources=tuple(
            MixtureSourceRow(
                source=one.source,
                asked=100 * one.share,
                got=100 * one.sequences / manifest.plan.sequences if manifest.plan.sequences else 0.0,
                tokens=one.tokens,
                available=one.available,
                epochs=one.epochs,
                unused=one.unused,
            )
            for one in manifest.plan.sources
        ),
        repeats=_repeats(recipe, manifest, store),
        warnings=manifest.warnings,
    )


def _repeats(recipe: Recipe, manifest: MixtureManifest, store: TokenStore) -> tuple[tuple[str, int], ...]:
    """Tokens by how often a document was found: those of one epoch, times the epochs that are taken of a source."""
    if recipe.repeat is None:
        return ()
    tokens = {}
    for (least, most), _ in ranges_of(recipe.repeat.buckets):
        found = 0.0
        for one in manifest.plan.sources:
            part = part_of(one.source)
            within = _common((least, most), part.duplicates)
            if within is not None and one.available:
                selection = replace(selection_of(recipe, one.source), duplicates=within)
                sizes = store.sizes(part.source, "train", selection)
                found += sum(sizes.tokens) * one.tokens / one.available
        tokens[f"{least}-" if most is None else f"{least}" if least == most else f"{least}-{most}"] = round(found)
    return tuple(tokens.items())


def _common(one: tuple[int, int | None], other: tuple[int, int | None] | None) -> tuple[int, int | None] | None:
    """What two ranges of duplicates share."""
    if other is None:
        return one
    least = max(one[0], other[0])
    ends = [most for most in (one[1], other[1]) if most is not None]
    most = min(ends, default=None)
    return None if most is not None and most < least else (least, most)
