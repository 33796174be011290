"""Where the holdout of an earlier run lies: ``holdout.npy`` in its token store."""

from __future__ import annotations

from pathlib import Path

from slimpajama.errors import ConfigError, InputNotFound
from slimpajama.storage.paths import path_of
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout

__all__ = ["earlier_holdout"]


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
