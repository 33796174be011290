"""What the stages of one token store share: the documents, the settings, and where files lie.

A task depends on its settings and on the content of the files it reads, not on where they are or when they were made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slimpajama.config.column import columns_of
from slimpajama.config.tokens import TokenConfig
from slimpajama.stages.markers import Markers
from slimpajama.stages.stage import Payload, ResultType, Stage
from slimpajama.storage.atomic import fingerprint
from slimpajama.storage.reading import own_record
from slimpajama.tokens.dedup_reader import DedupOutput, KeptShard
from slimpajama.tokens.draw import HoldoutRule
from slimpajama.tokens.earlier_holdout import earlier_holdout, tokenizer_difference
from slimpajama.tokens.holdout import SPLITS, TRAIN
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.tokenizer import declared_beside, local_file

__all__ = ["TokenRun", "shard_key"]


@dataclass(frozen=True, slots=True)
class TokenRun:
    """The token store ``layout`` of ``documents``. ``memory``: bytes that a task may hold."""

    documents: DedupOutput
    config: TokenConfig
    layout: StoreLayout
    memory: int

    def markers(self, stage: Stage[Payload, ResultType]) -> Markers[ResultType]:
        """The markers of the finished tasks of a stage."""
        return Markers(self.layout.done / stage.name, self.layout.root, stage.result_type)

    @property
    def rule(self) -> HoldoutRule:
        """Of the draw."""
        config = self.config
        return HoldoutRule(config.holdout, config.holdout_least, config.holdout_most, config.holdout_seed)

    def columns_of(self, source: str) -> tuple[str, ...]:
        """The metadata columns that are kept of a source."""
        return columns_of(self.config.columns, source)

    @property
    def earlier_file(self) -> Path | None:
        """The holdout to take over, if there is one. Raises what :func:`earlier_holdout` raises."""
        given = self.config.holdout_from
        return None if given is None else earlier_holdout(given, self.layout.root)

    @property
    def published(self) -> tuple[int, ...]:
        """For each shard, the split that it is published for; all train where that is not to be taken."""
        if self.config.holdout_from is not None or not self.config.published_split:
            return (TRAIN,) * len(self.documents.shards)
        return tuple(SPLITS.index(shard.split) for shard in self.documents.shards)

    def earlier_digest(self) -> str | None:
        """A digest of the holdout that is taken over, if there is one."""
        file = self.earlier_file
        return None if file is None else own_record(file).blake2b

    def earlier_tokenizer_warnings(self, digest: str) -> list[str]:
        """A sentence where the holdout is taken over from a store of another tokenizer than the one of ``digest``."""
        earlier = self.earlier_file
        said = earlier and tokenizer_difference(earlier, digest, trained=self.config.tokenizer is None)
        return [said] if said else []

    def given_tokenizer(self) -> str | None:
        """A digest of a tokenizer given as a file and of the end that is declared with it.

        ``None`` for a name on the hub, which stands for itself. Raises :class:`ConfigError` for a file that is gone.
        """
        path = local_file(self.config.tokenizer) if self.config.tokenizer is not None else None
        if path is None:
            return None
        return fingerprint(own_record(path).blake2b, declared_beside(path))


def shard_key(shard: KeptShard) -> str:
    """The key of a task that works on one shard."""
    return f"{shard.source}/{shard.name}"
