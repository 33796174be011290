"""The holdout of an earlier run: ``holdout.npy`` in its token store, and whether the tokenizer is that store's."""

from __future__ import annotations

from pathlib import Path

from slimpajama.errors import ConfigError, InputError, InputNotFound
from slimpajama.storage.paths import path_of
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout
from slimpajama.tokens.store import open_store

__all__ = ["earlier_holdout", "tokenizer_difference"]


def earlier_holdout(given: str, store: Path) -> Path:
    """The ``holdout.npy`` of a token store, of an output of mixtures or of a whole run, or the file itself.

    ``store``: the one that is to be made. Raises :class:`InputNotFound` where there is none, and :class:`ConfigError`
    where it is that of ``store``, which would be replaced while it is read.
    """
    root = path_of(given)
    folders = (root, root / TOKENS_FOLDER, root / "mixtures" / TOKENS_FOLDER)
    there = [path for path in (root, *(StoreLayout(folder).holdout for folder in folders)) if path.is_file()]
    if not there:
        raise InputNotFound(
            f"holdout_from is {given}, which holds no {StoreLayout(root).holdout.name}; give the output of an earlier "
            "slimpajama mix or run, or its token store"
        )
    if there[0].absolute() == StoreLayout(store).holdout.absolute():
        raise ConfigError(
            f"holdout_from is the token store {store}, which is the one to make; choose another output, or copy "
            f"{there[0].name} to another folder and give that"
        )
    return there[0]


def tokenizer_difference(earlier: Path, digest: str, *, trained: bool) -> str:
    """A sentence where the tokenizer with that ``digest`` is not the one that the holdout ``earlier`` was made with.

    ``trained``: on this corpus. A holdout that lies alone does not tell its tokenizer; one that was given is trusted.
    """
    layout = StoreLayout(earlier.parent)
    why = "so losses per token are not comparable with those on the earlier store"
    try:
        before = open_store(layout.root).index.tokenizer
    except InputError:
        again = f"a tokenizer is trained on this corpus, and {earlier} does not tell which one it was made with"
        return f"{again}, {why} unless it is the same; give --tokenizer its tokenizer.json" if trained else ""
    if before == digest:
        return ""
    other = "the tokenizer is not that of the store whose holdout is taken over"
    return f"{other}, {why}; give --tokenizer {layout.tokenizer}"
