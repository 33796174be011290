"""Tokenizer: train it on excerpts of the corpus or fetch it, then try it on them in both libraries.

One task, because all else waits for it. It takes as long as the excerpts do, whatever the size of the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConfigError
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.storage.atomic import file_record, fingerprint
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of
from slimpajama.tokens.encoding import Backend, Encoder, agreeing_backend, shared_encoder
from slimpajama.tokens.excerpts import ExcerptSample, excerpts, plan_excerpts
from slimpajama.tokens.stages.survey import SurveyResult
from slimpajama.tokens.token_run import TokenRun
from slimpajama.tokens.tokenizer import TokenizerFile, fetch_tokenizer, load_tokenizer
from slimpajama.tokens.tokenizer_json import forget_json
from slimpajama.tokens.tokenizer_training import TRAINING_BYTES, train_tokenizer
from slimpajama.tokens.tokenizer_warnings import dropout_warning, loss_warning

__all__ = ["TokenizerPayload", "TokenizerResult", "TokenizerStage"]

LEAST_CHECKED, MOST_CHECKED = 200_000, 1_000_000
"""Bytes of text on which the fast tokenizer is compared with the reference, which encodes some 1.5 MB/s, before it is
used: the least of a small corpus, and the most of a large one."""

EXCERPTS_SEED = 1
"""Fixed: the seeds of holdout and shuffle do not change the tokenizer, so that stores of other seeds are comparable."""

CHECKED_SHARE = 2000
"""In between, one byte in so many is tried, so that the check takes a twentieth of the tokenising at most."""


@dataclass(frozen=True, slots=True)
class TokenizerPayload:
    """Where the excerpts come from; the tokenizer that was ``asked`` for, or ``None`` to train one; where it goes.

    ``checked_bytes``: of the excerpts, on which the libraries are compared. ``memory``: what the process may hold.
    """

    samples: tuple[ExcerptSample, ...]
    asked: str | None
    end_of_text: str | None
    bos: bool | str
    post_processor: bool
    vocabulary: int
    tokenizer_file: Path
    checked_bytes: int
    memory: int


class TokenizerResult(StageResult, frozen=True, kw_only=True):
    """The fields of :class:`TokenizerFile`, the library to run it with, warnings for the user, and the file."""

    digest: str
    vocabulary: int
    end_of_text: int
    specials: tuple[str, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    backend: Backend
    warnings: tuple[str, ...]
    file: FileRecord

    @property
    def tokenizer(self) -> TokenizerFile:
        """The tokenizer that was written."""
        path = path_of(self.file.path)
        return TokenizerFile(
            path, self.digest, self.vocabulary, self.end_of_text, self.specials, self.before, self.after
        )


@dataclass(frozen=True)
class TokenizerStage(Stage[TokenizerPayload, TokenizerResult]):
    """The tokenizer of the store, with excerpts of the shards that were ``surveyed``."""

    tokens: TokenRun
    surveyed: Sequence[SurveyResult]

    name: ClassVar[str] = "tokenizer"
    title: ClassVar[str] = "tokenizer"
    version: ClassVar[int] = 4
    result_type = TokenizerResult
    scales_with: ClassVar[Scale] = "fixed"
    single: ClassVar[bool] = True

    def tasks(self) -> Sequence[Task[TokenizerPayload]]:
        """One."""
        config = self.tokens.config
        text_bytes = [found.text_bytes for found in self.surveyed]
        checked_bytes = bytes_to_check(sum(text_bytes))
        samples = plan_excerpts(
            self.tokens.documents.shards,
            text_bytes,
            target=TRAINING_BYTES if config.tokenizer is None else 2 * checked_bytes,
            seed=EXCERPTS_SEED,
        )
        inputs = {
            "version": self.version,
            "settings": config.model_dump(include={"tokenizer", "end_of_text", "bos", "post_processor", "vocabulary"}),
            "tokenizer": self.tokens.given_tokenizer(),
            "samples": fingerprint([[one.shard.digest, one.share, one.seed, one.limit] for one in samples]),
        }
        payload = TokenizerPayload(
            tuple(samples),
            config.tokenizer,
            config.end_of_text,
            config.bos,
            config.post_processor,
            config.vocabulary,
            self.tokens.layout.tokenizer,
            checked_bytes,
            self.tokens.memory,
        )
        reads = tuple(file for one in samples for file in one.shard.files)
        return [Task("all", payload, inputs, sum(one.limit for one in samples), reads)]

    @staticmethod
    def run(payload: TokenizerPayload) -> TokenizerResult:
        """Write the tokenizer."""
        found: list[tuple[int, str]] = []
        for sample in payload.samples:
            beat()
            found += excerpts(sample)
        texts = [text for _, text in sorted(found)]
        if payload.asked is None:
            if not texts:
                raise ConfigError("there is no document to train a tokenizer on; give --tokenizer, or some input")
            train_tokenizer(texts, payload.tokenizer_file, payload.vocabulary)
            declared = None
        else:
            declared = fetch_tokenizer(payload.asked, payload.tokenizer_file)
        tokenizer = load_tokenizer(
            payload.tokenizer_file, payload.end_of_text, declared, payload.bos, payload.post_processor
        )
        checked: list[str] = []
        size = 0
        # Taken evenly, for the sample is in the order of sources.
        for text in sorted(texts, key=lambda text: fingerprint(text[:200])):
            if size >= payload.checked_bytes:
                break
            checked.append(text)
            size += len(text.encode())
        reference_ids = cache(Encoder(tokenizer, "tokenizers").reference_ids)  # asked for twice
        backend, warning = agreeing_backend(
            tokenizer, checked, lambda: shared_encoder(tokenizer, "gigatoken", payload.memory).fast, reference_ids
        )
        warnings = [warning]
        if payload.asked is not None:
            warnings += [
                dropout_warning(payload.asked, payload.tokenizer_file),
                loss_warning(payload.asked, tokenizer, checked, reference_ids),
            ]
        forget_json()
        return TokenizerResult(
            digest=tokenizer.digest,
            vocabulary=tokenizer.vocabulary,
            end_of_text=tokenizer.end_of_text,
            specials=tokenizer.specials,
            before=tokenizer.before,
            after=tokenizer.after,
            backend=backend,
            warnings=tuple(warning for warning in warnings if warning),
            file=file_record(payload.tokenizer_file),
        )


def bytes_to_check(text_bytes: int) -> int:
    """Bytes of text on which the libraries are compared, for a corpus of ``text_bytes``."""
    return min(MOST_CHECKED, max(LEAST_CHECKED, text_bytes // CHECKED_SHARE))
