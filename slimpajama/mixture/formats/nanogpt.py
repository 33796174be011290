"""Token files of nanoGPT: nothing but ids of two bytes each.

nanoGPT maps one ``train.bin`` as ``uint16`` and reads windows of it at random places, so it sees neither the ends of
sequences nor their order. Parts of a split are joined by ``cat``. The ending tells them from Megatron-LM's ``.bin``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimpajama.mixture.formats.base import SequenceShape
from slimpajama.mixture.formats.streamed import Part, StreamedFormat, Tokens

__all__ = ["NanogptFormat"]


class NanogptFormat(StreamedFormat):
    """``<stem>.nanogpt.bin``."""

    name = "nanogpt"
    endings = (".nanogpt.bin",)
    contents = (
        "The `.nanogpt.bin` files hold token ids of two bytes each. nanoGPT wants one file of each split:",
        "`cat train-*.nanogpt.bin > data/NAME/train.bin`, and so on for `val.bin`. It reads windows at random places,",
        "so it sees neither the ends of sequences nor their order.",
    )

    def refusal(self, shape: SequenceShape) -> str | None:
        """See :meth:`MixtureFormat.refusal`."""
        if shape.vocabulary <= 1 << 16:
            return None
        return (
            f"nanoGPT reads two bytes a token, and the tokenizer has {shape.vocabulary:,} entries, more than 65,536; "
            "choose another format or tokenizer"
        )

    def parts(self, shape: SequenceShape) -> Sequence[Part]:
        """See :meth:`StreamedFormat.parts`."""
        return (Tokens(np.dtype("<u2")),)
