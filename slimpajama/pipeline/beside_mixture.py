"""What lies beside the files of a mixture or of the holdout: the tokenizer, the index that a format's loader wants.

Also whether a format can hold a mixture at all, which is known when the token store is. Costs a copy of the tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slimpajama.errors import ConfigError
from slimpajama.logging import LOGGER
from slimpajama.mixture.formats.base import WrittenPart
from slimpajama.mixture.layout import TOKENIZER_FOLDER
from slimpajama.mixture.manifest import MixtureManifest
from slimpajama.mixture.stages.build import BuildPayload, BuildStage
from slimpajama.mixture.stages.shared_holdout import SharedHoldoutStage
from slimpajama.mixture.tokenizer_folder import tokenizer_files
from slimpajama.stages.runner import Stages
from slimpajama.tokens.store import TokenStore

__all__ = ["check_format", "write_beside", "write_holdout_indexes"]


def check_format(stage: BuildStage) -> None:
    """Raise :class:`ConfigError` where the format cannot hold the largest file of the mixture."""
    payloads = stage.payloads()
    if not payloads:
        return
    largest = max(payloads, key=lambda payload: sum(payload.sequences.values()))
    refusal = stage.format.refusal(largest.shape(stage.store))
    if stage.recipe.packing != "concat" and not stage.format.says_padding:
        LOGGER.warning(
            "%s is padded, and %s files do not say where: what follows the first end-of-text token of a run of them is "
            "padding; another format says it, or packing: concat pads nothing",
            stage.recipe.name,
            stage.format.name,
        )
    if refusal:
        raise ConfigError(f"{stage.recipe.name} cannot be written as {stage.format.name}: {refusal}")


def write_beside(stage: BuildStage, manifest: MixtureManifest, stages: Stages) -> None:
    """Write the tokenizer's folder, and what the format has beside its files of train."""
    folder = stage.layout.root
    for name, content in tokenizer_files(stage.store, stage.plan.sequence_length).items():
        stages.write(folder / TOKENIZER_FOLDER / name, content)
    _write_index(stage.payloads(), {folder / file.name: file.bytes for file in manifest.files}, stage.store, stages)


def write_holdout_indexes(stage: SharedHoldoutStage, sizes: Mapping[Path, int], stages: Stages) -> None:
    """Write what the format has beside the files of each split; ``sizes``: of these files."""
    folders: dict[Path, list[BuildPayload]] = {}
    for payload in stage.payloads():
        folders.setdefault(payload.stem.parent, []).append(payload)
    for payloads in folders.values():
        _write_index(payloads, sizes, stage.store, stages)


def _write_index(
    payloads: Sequence[BuildPayload], sizes: Mapping[Path, int], store: TokenStore, stages: Stages
) -> None:
    first = payloads[0]
    parts = [
        WrittenPart(path.name, sizes[path], sum(payload.sequences.values()))
        for payload in payloads
        for path in payload.output_files[:1]
    ]
    for name, content in first.format.folder_files(first.shape(store), parts).items():
        stages.write(first.stem.parent / name, content)
