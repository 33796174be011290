"""Where the tokenizer comes from, and which of its ids mean something besides text.

A tokenizer is a ``tokenizer.json``, by path or by name on the Hugging Face hub; a copy of it lies beside the token
store and is what every worker loads. Its post-processor, truncation and padding are set aside: the store holds the
tokens of the text and one end-of-text token after each document, nothing else. Costs a parse of the file.

Documents are data: the string ``<|endoftext|>`` in a text is thirteen characters, never the end of that text. So the
special tokens are kept away from both libraries, each in its own way (see ``encoding``), and :func:`load_tokenizer`
proves it for every special token of the file. Tokens that the file adds *without* calling them special (the runs of
spaces of GPT-NeoX) are part of its vocabulary of text and stay. Rejected: escaping such strings in the text, which
changes the corpus.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import tokenizers

from slimpajama.errors import ConfigError
from slimpajama.storage import place
from slimpajama.workspace import atomic_file, fingerprint

__all__ = ["END_OF_TEXT", "TokenizerFile", "fetch_tokenizer", "load_tokenizer"]

END_OF_TEXT = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>")
"""Special tokens that end a document, in the order in which they are looked for."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """A usable ``tokenizer.json``.

    ``digest``: of its content. ``vocabulary``: one more than the largest id. ``end_of_text``: the id after each
    document. ``specials``: every special token. Plain values: it travels to workers as it is.
    """

    path: Path
    digest: str
    vocabulary: int
    end_of_text: int
    specials: tuple[str, ...]


def fetch_tokenizer(name: str, target: Path) -> None:
    """Copy the tokenizer that ``name`` says to ``target``: a file, a folder holding ``tokenizer.json``, or a hub name.

    Raises :class:`ConfigError` where there is no such file, or the hub does not answer or does not have it.
    """
    path = place(name)
    path = path / "tokenizer.json" if path.is_dir() else path
    if path.is_file():
        content = path.read_bytes()
    elif name.endswith(".json") or not _HUB_NAME.fullmatch(name):
        raise ConfigError(
            f"there is no tokenizer at {path}; give the path of a tokenizer.json, a hub name such as "
            "EleutherAI/gpt-neox-20b, or none to train one on the corpus"
        )
    else:
        try:
            content = tokenizers.Tokenizer.from_pretrained(name).to_str().encode()
        except Exception as fault:  # the hub client raises a dozen unrelated kinds
            reason = " ".join(str(fault).split())[:300]
            raise ConfigError(
                f"cannot load the tokenizer {name!r} from the Hugging Face hub: {reason}; check the name and the "
                "network, or give the path of a tokenizer.json, or none to train one on the corpus"
            ) from fault
    with atomic_file(target) as file:
        file.write(content)


def load_tokenizer(path: Path, end_of_text: str | None = None) -> TokenizerFile:
    """Read and check a ``tokenizer.json``; ``end_of_text`` names the special token that ends a document.

    By default that is the first of :data:`END_OF_TEXT` which the file has. Raises :class:`ConfigError` where the
    file is not a tokenizer, has no such token, or would turn text into a special token.
    """
    content = plain_json(path)
    try:
        tokenizer = reference(content)
        numbers = tokenizer.get_vocab(with_added_tokens=True)
        # The library's ids, not the file's: where the file leaves gaps, the library numbers added tokens anew.
        specials = {
            str(token["content"]): numbers[token["content"]]
            for token in content["added_tokens"]
            if token.get("special")
        }
    except Exception as fault:  # the library raises plain Exception
        raise ConfigError(f"{path} is not a tokenizer that the tokenizers library can load: {fault}") from fault
    for special, number in specials.items():
        for text in (special, f"a{special}b {special}"):
            if number in tokenizer.encode(text, add_special_tokens=False).ids:
                raise ConfigError(
                    f"{path}: the text {special!r} would become the special token {number}, so a document could end "
                    "itself; use a tokenizer whose merges do not spell out its special tokens"
                )
    vocabulary = 1 + max(numbers.values(), default=-1)
    wanted = (end_of_text,) if end_of_text is not None else END_OF_TEXT
    for token in wanted:
        if token in specials:
            return TokenizerFile(path, fingerprint(content), vocabulary, specials[token], tuple(specials))
    raise ConfigError(
        f"{path} has no special token {' or '.join(wanted)}; name the one that ends a document, out of: "
        f"{', '.join(specials) or 'none, it has no special tokens at all'}"
    )


def plain_json(path: Path) -> dict[str, Any]:
    """The parsed file without what acts on whole sequences. Raises :class:`ConfigError` where it cannot be read."""
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as fault:
        raise ConfigError(f"cannot read the tokenizer {path}: {fault.strerror or fault}") from fault
    except orjson.JSONDecodeError as fault:
        raise ConfigError(f"the tokenizer {path} is not JSON: {fault}") from fault
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ConfigError(f"{path} is not a tokenizer.json: it has no model")
    return {
        **content,
        "added_tokens": content.get("added_tokens") or [],
        "truncation": None,
        "padding": None,
        "post_processor": None,
    }


def reference(content: dict[str, Any]) -> tokenizers.Tokenizer:
    """The tokenizer of ``content`` in the ``tokenizers`` library, taking special tokens in texts for text."""
    tokenizer = tokenizers.Tokenizer.from_str(orjson.dumps(content).decode())
    # Not: leaving the special tokens out. The library numbers added tokens anew in the order in which they come,
    # and every id after a missing one would shift.
    tokenizer.encode_special_tokens = True
    return tokenizer
