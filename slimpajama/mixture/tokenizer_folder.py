"""The folder ``tokenizer`` beside a mixture's files, which ``AutoTokenizer.from_pretrained`` of Transformers opens.

It holds the ``tokenizer.json`` of the token store as it is, and a ``tokenizer_config.json`` that names the tokens a
trainer asks for: the end-of-text token, and the one that begins a text, which is the same where the tokenizer has none
of its own, as GPT-2 has it. Costs a copy of the file. Rejected: a link to the store's file, which is lost when the
mixture is uploaded.
"""

from __future__ import annotations

import orjson

from slimpajama.storage.reading import own_bytes
from slimpajama.tokens.document_frame import BEGIN_OF_TEXT
from slimpajama.tokens.store import TokenStore

__all__ = ["tokenizer_files"]


def tokenizer_files(store: TokenStore, length: int) -> dict[str, bytes]:
    """The files of the folder by name, for a mixture of sequences of ``length`` tokens.

    Raises :class:`OutputError` where the tokenizer of the store cannot be read.
    """
    content = own_bytes(store.layout.tokenizer)
    parsed = orjson.loads(content)
    special = {token["id"]: str(token["content"]) for token in parsed["added_tokens"] if token.get("special")}
    end = special[store.end_of_text]
    begin = next((token for token in BEGIN_OF_TEXT if token in special.values()), end)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": end,
        "model_max_length": length,
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer.json": content,
        "tokenizer_config.json": orjson.dumps(config, option=orjson.OPT_INDENT_2) + b"\n",
    }
