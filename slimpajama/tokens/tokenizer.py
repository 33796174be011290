"""Where the tokenizer comes from, and which token ends a document.

A tokenizer is a ``tokenizer.json``, by path or by name on the Hugging Face hub; a copy of it lies beside the token
store and is what every worker loads. The store holds the tokens of the text and one end-of-text token after each
document, and more around it on request (:mod:`slimpajama.tokens.document_frame`). Costs a parse of the file.

The end-of-text token is, in this order: the one that is asked for; the one that ``tokenizer_config.json``,
``generation_config.json`` or ``config.json`` beside the file names; the first of :data:`END_OF_TEXT` that it has.

Documents are data: the string ``<|endoftext|>`` in a text is thirteen characters, never the end of that text. So the
special tokens are kept away from both libraries, each in its own way (see ``tokenizer_json`` and ``encoding``), and
:func:`load_tokenizer` proves it for every special token of the file. The unknown token is the exception: text that the
vocabulary does not have becomes it, which ends no document. Tokens that the file adds *without* calling them special
(the runs of spaces of GPT-NeoX) are part of its vocabulary of text and stay. Rejected: escaping such strings in the
text, which changes the corpus.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from slimpajama.errors import ConfigError
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.paths import path_of
from slimpajama.tokens.document_frame import before_and_after
from slimpajama.tokens.tokenizer_json import LoadedTokenizer, load_json, unknown_token

__all__ = [
    "END_OF_TEXT",
    "TokenizerFile",
    "declared_beside",
    "fetch_tokenizer",
    "hub_file",
    "load_tokenizer",
    "local_file",
]

END_OF_TEXT = (
    "<|endoftext|>",  # GPT-2, GPT-NeoX, Qwen, Phi
    "</s>",  # Llama 1 and 2, Mistral, T5
    "<|end_of_text|>",  # Llama 3
    "<eos>",  # Gemma
    "<｜end▁of▁sentence｜>",  # DeepSeek
)
"""Special tokens that end a document, in the order in which they are looked for."""

BESIDE = ("tokenizer_config.json", "generation_config.json", "config.json")
"""Files beside a tokenizer.json that may name its end-of-text token; the first that does counts."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """A usable ``tokenizer.json``.

    ``digest``: of its content. ``vocabulary``: one more than the largest id. ``end_of_text``: the id after each
    document. ``specials``: every special token. ``before`` and ``after``: the ids around each document, the end of text
    among them. Plain values: it travels to workers as it is.
    """

    path: Path
    digest: str
    vocabulary: int
    end_of_text: int
    specials: tuple[str, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]


def local_file(name: str) -> Path | None:
    """The ``tokenizer.json`` that ``name`` says, a file or a folder that holds one; ``None`` where it is a hub name.

    Raises :class:`ConfigError` where it is neither.
    """
    path = path_of(name)
    path = path / "tokenizer.json" if path.is_dir() else path
    if path.is_file():
        return path
    if name.endswith(".json") or not _HUB_NAME.fullmatch(name):
        raise ConfigError(
            f"there is no tokenizer at {path}; give the path of a tokenizer.json, a hub name such as "
            "EleutherAI/gpt-neox-20b, or none to train one on the corpus"
        )
    return None


def hub_file(name: str, file: str) -> Path | None:
    """A file of the repository ``name`` on the Hugging Face hub, or ``None`` where the repository has no such file.

    Raises :class:`ConfigError` where the hub does not answer or does not have the repository.
    """
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(huggingface_hub.hf_hub_download(name, file))
    except Exception as fault:  # the hub client raises a dozen unrelated kinds
        if isinstance(fault, EntryNotFoundError) and not isinstance(fault, LocalEntryNotFoundError):
            return None
        reason = " ".join(str(fault).split())[:300]
        raise ConfigError(
            f"cannot load the tokenizer {name!r} from the Hugging Face hub: {reason}; check the name and the "
            "network, or give the path of a tokenizer.json, or none to train one on the corpus"
        ) from fault


def fetch_tokenizer(name: str, target: Path, hub: Callable[[str, str], Path | None] = hub_file) -> str | None:
    """Copy the tokenizer that ``name`` says to ``target``, and return the end-of-text token that is declared with it.

    ``name``: a file, a folder holding ``tokenizer.json``, or a hub name. ``hub``: gives files of the hub. Raises
    :class:`ConfigError` where there is no such file, or the hub does not answer or does not have it.
    """
    path = local_file(name)
    if path is None:
        found = hub(name, "tokenizer.json")
        if found is None:
            raise ConfigError(
                f"{name!r} on the Hugging Face hub has no tokenizer.json; give the path of one, or none to train one "
                "on the corpus"
            )
        path, beside = found, hub(name, BESIDE[0])
        declared = declared_end(path, (beside,) if beside is not None else ())
    else:
        declared = declared_beside(path)
    with atomic_file(target) as file:
        file.write(path.read_bytes())
    return declared


def declared_beside(path: Path) -> str | None:
    """The end-of-text token that a file beside the local ``tokenizer.json`` names."""
    return declared_end(path, tuple(path.with_name(name) for name in BESIDE))


def declared_end(path: Path, beside: tuple[Path, ...]) -> str | None:
    """The end-of-text token of the ``tokenizer.json`` at ``path`` that the first of the files ``beside`` it names."""
    for file in beside:
        if not file.is_file():
            continue
        try:
            content = orjson.loads(file.read_bytes())
        except (OSError, orjson.JSONDecodeError) as fault:
            raise ConfigError(f"cannot read {file} beside the tokenizer: {fault}; mend or remove it") from fault
        if not isinstance(content, dict):
            continue
        token, number = content.get("eos_token"), content.get("eos_token_id")
        token = token.get("content") if isinstance(token, dict) else token
        number = number[0] if isinstance(number, list) and number else number
        if isinstance(token, str) and token:
            return token
        if isinstance(number, int):
            by_number = {number: token for token, number in _special_ids(path, load_json(path)).items()}
            if number in by_number:
                return by_number[number]
    return None


def _special_ids(path: Path, loaded: LoadedTokenizer) -> dict[str, int]:
    try:
        return loaded.special_ids()
    except Exception as fault:  # the library raises plain Exception
        raise ConfigError(f"{path} is not a tokenizer that the tokenizers library can load: {fault}") from fault


def load_tokenizer(
    path: Path,
    end_of_text: str | None = None,
    declared: str | None = None,
    bos: bool | str = False,
    post_processor: bool = False,
) -> TokenizerFile:
    """Read and check a ``tokenizer.json``; ``end_of_text`` names the special token that ends a document.

    By default that is the ``declared`` one, or the first of :data:`END_OF_TEXT` which the file has. ``bos`` and
    ``post_processor``: what else stands around a document; see :mod:`slimpajama.tokens.document_frame`. Raises
    :class:`ConfigError` where the file is not a tokenizer, has no such token, or would turn text into a special token.
    """
    loaded = load_json(path)
    specials = _special_ids(path, loaded)
    if end_of_text is not None:
        wanted: tuple[str, ...] = (end_of_text,)
    else:
        wanted = (declared,) if declared is not None else END_OF_TEXT
    end = next((token for token in wanted if token in specials), None)
    if end is None:
        said = ", the end-of-text token that is declared beside it" if wanted == (declared,) else ""
        raise ConfigError(
            f"{path} has no special token {' or '.join(wanted)}{said}; name the one that ends a document by "
            "--end-of-text or tokens.end_of_text, out of: "
            f"{', '.join(specials) or 'none, it has no special tokens at all'}"
        )
    unknown = unknown_token(loaded.content)
    if unknown == end:
        raise ConfigError(
            f"{path}: {end!r} stands for unknown characters too, so a document that has one would end there; name "
            "another token by --end-of-text or tokens.end_of_text, or give another tokenizer"
        )
    for special, number in specials.items():
        for text in (special, f"a{special}b {special}", f" {special}", f"a  {special}  b"):
            if special != unknown and number in loaded.reference.encode(text, add_special_tokens=False).ids:
                raise ConfigError(
                    f"{path}: the text {text!r} would become the special token {special} ({number}), so a document "
                    "could end itself; give a tokenizer whose model does not spell out its special tokens"
                )
    before, after = before_and_after(path, loaded, specials, specials[end], bos, post_processor)
    return TokenizerFile(path, loaded.digest, loaded.vocabulary(), specials[end], tuple(specials), before, after)
