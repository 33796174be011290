"""What lies beside the files of a mixture: the tokenizer, and the index that a format's loader wants.

Also whether a format can hold a mixture at all, which is known when the token store is. Costs a copy of the tokenizer.
"""

from __future__ import annotations

from slimpajama.errors import ConfigError
from slimpajama.logging import LOGGER
from slimpajama.mixture.formats.base import WrittenPart
from slimpajama.mixture.layout import TOKENIZER_FOLDER
from slimpajama.mixture.manifest import MixtureManifest
from slimpajama.mixture.stages.build import BuildStage
from slimpajama.mixture.tokenizer_folder import tokenizer_files
from slimpajama.stages.runner import Stages

__all__ = ["check_format", "write_beside"]


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
    train = [payload for payload in stage.payloads() if payload.split == "train"]
    sizes = {file.name: file.bytes for file in manifest.files}
    parts = [
        WrittenPart(path.name, sizes[path.name], sum(payload.sequences.values()))
        for payload in train
        for path in payload.output_files[:1]
    ]
    for name, content in stage.format.folder_files(train[0].shape(stage.store), parts).items():
        stages.write(folder / name, content)
