"""Source files: seven languages' shapes, with their indentation, comments and names.

A language is a file in ``templates``: some openings (imports, includes), some blocks, and perhaps how a file ends;
see ``blocks`` for the cost. The blocks keep fixed text between two slots short, so that two unrelated files share
few 13-character shingles. Rejected: licence headers (they make unrelated files similar, which is true to life but
would blur the ground truth).
"""

from __future__ import annotations

from dataclasses import dataclass

from slimpajama.sample.blocks import Blocks, SlotNames, template
from slimpajama.sample.lexicon import Lexicon
from slimpajama.sample.random_streams import RandomStream

__all__ = ["LANGUAGES", "Language", "language_of", "program"]


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its name as GitHub has it, the suffix of its files, how names are written, and its blocks."""

    name: str
    suffix: str
    camel: bool
    opening: Blocks
    body: Blocks
    closing: str = ""

    @classmethod
    def of(cls, name: str, suffix: str, *, camel: bool) -> Language:
        """The language whose blocks are in the template of that name."""
        opening, body, *closing = template(name.lower())
        return cls(name, suffix, camel, Blocks(opening), Blocks(body), closing[0][0] if closing else "")


LANGUAGES = (
    Language.of("Python", "py", camel=False),
    Language.of("C", "c", camel=False),
    Language.of("Java", "java", camel=True),
    Language.of("JavaScript", "js", camel=True),
    Language.of("Shell", "sh", camel=False),
    Language.of("HTML", "html", camel=False),
    Language.of("YAML", "yml", camel=False),
)


def language_of(key: int) -> Language:
    """The language of the document with this key; records name it, so it does not depend on the text's
    stream."""
    return LANGUAGES[key % len(LANGUAGES)]


def program(stream: RandomStream, lexicon: Lexicon, characters: int, language: Language) -> str:
    """A source file of about ``characters`` characters."""
    names = SlotNames.draw(stream, lexicon, camel=language.camel)
    opening = language.opening.fill(stream, names, 1)
    return f"{opening}\n{language.body.fill(stream, names, characters - len(opening))}{language.closing}"
