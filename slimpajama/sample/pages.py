"""Web pages, articles, encyclopaedia entries, books and question threads: prose with the furniture of its
kind.

Cost: that of ``prose`` plus a microsecond per line of furniture. A web page has a menu above and legal lines
below, which real pages share; here they are drawn from many short lines and filled with the page's own names,
so that two unrelated pages stay far from any similarity threshold. Rejected: whole shared templates (they
plant duplicates that the ground truth does not know of).
"""

from __future__ import annotations

from slimpajama.sample.blocks import SlotNames
from slimpajama.sample.lexicon import Lexicon
from slimpajama.sample.programs import LANGUAGES
from slimpajama.sample.prose import ARTICLE, BOOK, POST, WEB, prose
from slimpajama.sample.random_streams import RandomStream

__all__ = ["article", "book", "encyclopaedia_entry", "short_text", "thread", "web_page"]

_MENU = (
    "Home", "About", "Contact", "News", "Blog", "Shop", "Log in", "Search", "Menu", "Sign up", "FAQ", "Archive",
    "About {}", "{} News", "The {} Blog", "{} & {}", "Why {}?", "All {}", "Best {}", "{}", "{}", "{} for {}", "My {}",
    "Skip to {}", "Category: {}", "Tags: {}, {}", "{} ({})", "Next: {}", "« {}", "{} »", "More {}…",
)  # fmt: skip
_FOOTER = (
    "© {} {}", "Terms", "Privacy", "Cookies", "Share", "Tweet", "Posted by {} {}", "Tagged {}, {}, {}", "Copyright {}",
    "{} Ltd.", "Leave a reply", "Read more: {} {} {}", "{} comments", "Filed under {}", "Subscribe to {}", "{} on {}",
)  # fmt: skip
_HEADINGS = (
    "History",
    "Career",
    "Geography",
    "Description",
    "Early life",
    "Reception",
    "Legacy",
    "{}",
    "{} and {}",
)


def web_page(stream: RandomStream, lexicon: Lexicon, characters: int) -> str:
    """A page of Common Crawl as text: title, menu, paragraphs one per line, footer."""
    lines = [f"{lexicon.phrase(stream, 2 + stream.below(4))} - {lexicon.phrase(stream, 1)}"]
    lines += _furniture(stream, lexicon, _MENU, min(3 + stream.below(16), characters // 100))
    footer = _furniture(stream, lexicon, _FOOTER, min(1 + stream.below(8), characters // 200))
    taken = sum(map(len, lines)) + sum(map(len, footer))
    lines.append(prose(stream, lexicon, max(60, characters - taken), WEB))
    return "\n".join(lines + footer)


def article(stream: RandomStream, lexicon: Lexicon, characters: int) -> str:
    """A text of C4: paragraphs only."""
    return prose(stream, lexicon, characters, ARTICLE)


def encyclopaedia_entry(stream: RandomStream, lexicon: Lexicon, characters: int) -> str:
    """A Wikipedia article as its dump is cleaned: title, lead, sections with a heading line, categories."""
    title = lexicon.phrase(stream, 1 + stream.below(3))
    year = 1000 + stream.below(1020)
    parts = [f"{title}\n\n{title} ({lexicon.word(stream)}; {year}) is "]
    sections = 1 + min(8, characters // 1200)
    for number in range(sections):
        if number:
            parts.append(f"\n\n{_line(stream, lexicon, _HEADINGS)}\n")
        parts.append(prose(stream, lexicon, max(60, characters // sections), ARTICLE))
    parts.append("\n\nReferences\n\nExternal links\n")
    parts += [f"\nCategory:{lexicon.phrase(stream, 1 + stream.below(3))}" for _ in range(1 + stream.below(4))]
    return "".join(parts)


def book(stream: RandomStream, lexicon: Lexicon, characters: int) -> str:
    """A book: title, author, chapters of broken lines; every other one with CRLF, as Project Gutenberg has
    them."""
    title, author = lexicon.phrase(stream, 2 + stream.below(3)), lexicon.phrase(stream, 2)
    chapters = max(1, characters // 18000)
    parts = [f"{title.upper()}\n\nby {author}\n\n\n"]
    for number in range(1, chapters + 1):
        parts.append(f"CHAPTER {number}\n{lexicon.phrase(stream, 2).upper()}\n\n")
        parts.append(prose(stream, lexicon, max(200, characters // chapters), BOOK) + "\n\n\n")
    text = "".join(parts) + "THE END\n"
    return text.replace("\n", "\r\n") if stream.below(2) else text


def thread(stream: RandomStream, lexicon: Lexicon, characters: int) -> str:
    """A Stack Exchange question with its answers, some with code."""
    answers = 1 + stream.below(3)
    size = max(80, characters // (answers + 1))
    parts = [f"Q: {prose(stream, lexicon, 50, POST)[:-1]}?\n\n{prose(stream, lexicon, size - 60, POST)}"]
    language = stream.choice(LANGUAGES)
    # One thread in two has code; drawing names costs as much as the prose of a short thread.
    names = SlotNames.draw(stream, lexicon, camel=language.camel) if stream.below(2) else None
    for _ in range(answers):
        code = size // 2 if names is not None and stream.below(4) else 0
        parts.append(f"\n\nA: {prose(stream, lexicon, size - code, POST)}")
        if names is not None and code > 40:
            parts.append(f"\n\n{language.body.fill(stream, names, code).rstrip()}")
    return "".join(parts)


def short_text(stream: RandomStream, lexicon: Lexicon) -> str:
    """A text below the 200 cleaned characters of the length filter: a tenth empty, a fifth below one
    shingle."""
    kind = stream.below(10)
    if kind == 0:
        return "" if stream.below(2) else " \n\t"
    if kind <= 2:
        return lexicon.word(stream)[:10] + "."
    return prose(stream, lexicon, 20 + stream.below(150), WEB)


def _furniture(stream: RandomStream, lexicon: Lexicon, shapes: tuple[str, ...], count: int) -> list[str]:
    return [_line(stream, lexicon, shapes) for _ in range(count)]


def _line(stream: RandomStream, lexicon: Lexicon, shapes: tuple[str, ...]) -> str:
    """One shape with its slots (at most three) filled; one number decides all, pages have dozens of these
    lines."""
    number = stream.number()
    shape = shapes[(number & 0xFFFF) % len(shapes)]
    names, count = lexicon.names, len(lexicon.names)
    return shape.format(
        names[(number >> 48) * count >> 16],
        names[(number >> 32 & 0xFFFF) * count >> 16],
        names[(number >> 16 & 0xFFFF) * count >> 16],
    )
