r"""LaTeX articles after RedPajama's cleaning: no preamble, no bibliography; sections, prose with maths,
displays.

About 100 MB/s: prose whose words are now and then formulas (see ``prose``), and display environments from
blocks (see ``blocks``). Rejected: macros of an author's own; RedPajama has expanded them.
"""

from __future__ import annotations

from slimpajama.sample.blocks import Blocks, SlotNames, template
from slimpajama.sample.lexicon import Lexicon
from slimpajama.sample.prose import PAPER, prose
from slimpajama.sample.random_streams import RandomStream

__all__ = ["paper"]

_DISPLAYS = Blocks(template("latex")[0])
_SECTION = 3500


def paper(stream: RandomStream, lexicon: Lexicon, characters: int) -> str:
    """An article of about ``characters`` characters: an introduction, then sections of some three
    thousand."""
    names = SlotNames.draw(stream, lexicon, camel=False)
    parts = [f"\\section{{Introduction}}\n\\label{{sec:{names.word(0)}}}\n"]
    left = characters
    while True:
        size = min(left, _SECTION // 2 + stream.below(_SECTION))
        parts.append(prose(stream, lexicon, max(60, size * 3 // 4), PAPER))
        parts.append("\n\n" + _DISPLAYS.fill(stream, names, size // 4))
        left -= size
        if left < 400:
            return "".join(parts)
        title = lexicon.phrase(stream, 2 + stream.below(2))
        parts.append(f"\n\\section{{{title}}}\n\\label{{sec:{names.word(len(parts))}}}\n\n")
