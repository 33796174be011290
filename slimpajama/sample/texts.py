"""The text of a document from what it is made from: one key, one stream, the writer of its kind."""

from __future__ import annotations

from slimpajama.sample import pages, papers, programs
from slimpajama.sample.jaccard import jaccard
from slimpajama.sample.lexicon import lexicon
from slimpajama.sample.mutation import near_copy
from slimpajama.sample.oddities import make_odd
from slimpajama.sample.random_streams import RandomStream, derive_key
from slimpajama.sample.roles import Document, Role, SampleSpec
from slimpajama.sample.sources import KINDS

__all__ = ["copy_of", "document_key", "text_of"]

_TEXT, _COPY = 11, 12
_WRITERS = {
    "common_crawl": pages.web_page,
    "c4": pages.article,
    "books": pages.book,
    "arxiv": papers.paper,
    "wikipedia": pages.encyclopaedia_entry,
    "stackexchange": pages.thread,
}


def document_key(recipe: SampleSpec, document: Document) -> int:
    """The key from which a document's text and record are drawn."""
    return derive_key(recipe.seed, document.kind, document.index, _TEXT)


def text_of(recipe: SampleSpec, document: Document) -> str:
    """The document's own text; the same wherever and whenever it is made."""
    key = document_key(recipe, document)
    stream = RandomStream(key)
    words = lexicon(recipe.seed)
    if document.short:
        text = pages.short_text(stream, words)
    elif KINDS[document.kind].name == "github":
        text = programs.program(stream, words, document.length, programs.language_of(key))
    else:
        text = _WRITERS[KINDS[document.kind].name](stream, words, document.length)
    return make_odd(stream, text) if document.odd else text


def copy_of(recipe: SampleSpec, role: Role, original: str) -> tuple[str, float]:
    """The copy that ``role`` wants of its original's text, and their exact similarity."""
    if role.target > 1.0:
        return original, 1.0
    stream = RandomStream(derive_key(recipe.seed, role.document.kind, role.document.index, _COPY))
    text = near_copy(stream, lexicon(recipe.seed), original, role.target)
    return text, jaccard(original, text)
