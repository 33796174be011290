"""Pairs to look at: removed documents beside their survivors, with what differs between them.

Chosen from the pairs that were compared: in turn one of each source and tenth of similarity, and one of each of the
largest clusters, until there are ``MOST_PAIRS``; so the rare kinds are all there. Of each text at most
``MOST_CHARACTERS`` are shown, around the differences; characters that take more room in a page (four bytes, or a box
for what cannot be seen) count for more. Costs a comparison of at most ``MOST_WORDS`` words of each text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from slimpajama.evidence.opened_output import Pair, place_of
from slimpajama.report.figures.deduplication import EvidencePair, EvidenceSection, Snippet
from slimpajama.report.sections.looked_at import LookedAt
from slimpajama.report.sections.removals import SEED, DrawnRemovals
from slimpajama.storage.atomic import fingerprint
from slimpajama.text.differences import differences

__all__ = ["MOST_CHARACTERS", "chosen_pairs", "evidence", "evidence_pair", "shown"]

MOST_PAIRS = 150
MOST_CHARACTERS = 4000
MOST_WORDS = 400
FEW_WORDS = 100
"""Of repetitive texts, whose comparison takes the square of its usual time."""

REPETITIVE = 0.25
"""The share of one word in a text that repeats itself; the commonest of prose and code seldom makes so much."""

SAMPLE = 2000
"""Characters that tell whether a text repeats itself, at its beginning and in its middle."""

CONTEXT = 80
"""Characters that are alike on either side of a difference."""

LONGEST = 900
"""Characters of one difference; of a longer one, the beginning and the end."""

_WORD = re.compile(r"\w+|[^\w\s]")

NOTICE = 80
"""A stretch that is shorter is shown: to say that it is left out would take as much room."""

UNSEEN = 20
"""What a character counts for that is shown as a box with its number."""


def evidence(drawn: DrawnRemovals, looked: LookedAt) -> EvidenceSection:
    """The pairs, the least alike first."""
    pairs = [evidence_pair(one) for one in chosen_pairs(looked)]
    return EvidenceSection(
        seed=SEED,
        removals=drawn.removals,
        most_characters=MOST_CHARACTERS,
        pairs=tuple(sorted(pairs, key=lambda one: (one.jaccard, one.id))),
    )


def chosen_pairs(looked: LookedAt, most: int = MOST_PAIRS) -> list[Pair]:
    """Pairs of every source and similarity, and of the largest clusters."""
    cells: dict[tuple[str, int], list[Pair]] = {}
    for pair in looked.pairs:
        cells.setdefault((pair.document.source, min(9, int(pair.jaccard * 10 + 1e-9))), []).append(pair)
    for cluster, own in looked.members.items():
        cells[f"cluster {cluster}", 0] = sorted(own, key=lambda one: (one.jaccard, one.document.id))[:3]
    order = sorted(cells, key=fingerprint)  # of a thousand sources, not those that come first by name
    chosen: dict[int, Pair] = {}
    depth = 0
    while len(chosen) < most and any(len(own) > depth for own in cells.values()):
        for key in order:
            if depth < len(cells[key]) and len(chosen) < most:
                chosen.setdefault(cells[key][depth].document.id, cells[key][depth])
        depth += 1
    return list(chosen.values())


def evidence_pair(pair: Pair) -> EvidencePair:
    """A compared pair as a report shows it."""
    document, survivor = shown(pair.document_text, pair.survivor_text)
    return EvidencePair(
        scope=pair.scope,
        match=pair.document.match(pair.scope) or "near",
        id=f"{pair.document.id:#x}",
        source=pair.document.source,
        path=pair.document.shard,
        place=place_of(pair.document),
        survivor_id=f"{pair.survivor.id:#x}",
        survivor_source=pair.survivor.source,
        survivor_path=pair.survivor.shard,
        survivor_place=place_of(pair.survivor),
        jaccard=pair.jaccard,
        shared_in_document=pair.document_in_survivor,
        shared_in_survivor=pair.survivor_in_document,
        bands=len(pair.bands),
        cluster_documents=pair.survivor.size(pair.scope) or 2,
        document=document,
        survivor=survivor,
    )


def shown(first: str, second: str, most: int = MOST_CHARACTERS) -> tuple[tuple[Snippet, ...], tuple[Snippet, ...]]:
    """What is shown of two texts: runs that are the same, runs that differ, and how much is left out between.

    Texts that fit are shown whole.
    """
    most_words = FEW_WORDS if _repeats(first) and _repeats(second) else MOST_WORDS
    whole = max(len(first), len(second)) <= most
    found = differences(first, second, context=most if whole else CONTEXT, most_words=most_words)
    runs: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    for place in found.places:
        for side, own in zip(runs, (place.first, place.second), strict=True):
            side += [("left_out", " " * place.skipped), ("same", place.before), ("differs", own), ("same", place.after)]
    if not found.places:
        for side in runs:
            side.append(("same", first if whole else first[: min(LONGEST, most // 4)]))
    rests = [text[sum(len(run) for _, run in side) :] for text, side in zip((first, second), runs, strict=True)]
    ends = zip(reversed(rests[0]), reversed(rests[1]), strict=False)
    alike = next((place for place, (one, other) in enumerate(ends) if one != other), min(map(len, rests)))
    for side, rest in zip(runs, rests, strict=True):
        if whole:  # words that were too many to compare
            side += [("differs", rest[: len(rest) - alike]), ("same", rest[len(rest) - alike :])]
        else:
            side.append(("left_out", rest))
    longest = most if whole else LONGEST
    return _snippets(runs[0], first, most, longest), _snippets(runs[1], second, most, longest)


def _repeats(text: str) -> bool:
    """Whether one word makes much of a part of the text."""
    middle = len(text) // 2
    for part in (text[:SAMPLE], text[middle : middle + SAMPLE]):
        words = Counter(_WORD.findall(part))
        if words and max(words.values()) > REPETITIVE * words.total():
            return True
    return False


def _snippets(runs: Sequence[tuple[str, str]], whole: str, most: int, longest: int) -> tuple[Snippet, ...]:
    """Runs of the text ``whole`` as snippets: those above ``longest`` are cut, and so is what comes after ``most``
    characters."""
    found: list[Snippet] = []
    used, passed = 0.0, 0
    for kind, text in _cut(runs, longest):
        if not text:
            continue
        if kind == "left_out" and len(text) < NOTICE:
            kind, text = "same", whole[passed : passed + len(text)]
        if kind == "left_out":
            _leave_out(found, len(text))
            passed += len(text)
            continue
        kept = _within(text, most - used)
        if len(kept) < len(text):  # leave out as much as is worth a notice
            kept = kept[: max(0, min(len(kept), len(whole) - passed - NOTICE))]
        if kept:
            used += sum(map(_room, kept))
            passed += len(kept)
            before = found.pop().text if found and found[-1].kind == kind else ""
            found.append(Snippet(kind=kind, text=before + kept, characters=len(before) + len(kept)))
        if len(kept) < len(text):
            break
    _leave_out(found, len(whole) - passed)
    return tuple(found)


def _cut(runs: Iterable[tuple[str, str]], longest: int) -> Iterable[tuple[str, str]]:
    for kind, text in runs:
        if kind == "left_out" or len(text) < longest + NOTICE:
            yield kind, text
        else:
            yield kind, text[: longest * 2 // 3]
            yield "left_out", text[longest * 2 // 3 : -longest // 3]
            yield kind, text[-longest // 3 :]


def _leave_out(found: list[Snippet], characters: int) -> None:
    if characters > 0 and found and found[-1].kind == "left_out":
        characters += found.pop().characters
    if characters > 0:
        found.append(Snippet(kind="left_out", text="", characters=characters))


def _within(text: str, room: float) -> str:
    """The beginning of a text that fits."""
    for place, character in enumerate(text):
        room -= _room(character)
        if room < 0:
            return text[:place]
    return text


def _room(character: str) -> float:
    """What a character counts for: 1, and more for what takes more bytes in a page."""
    if character < "\x7f":
        return 1 if character >= " " or character in "\n\t\r" else UNSEEN
    return len(character.encode("utf-8", "replace")) / 1.5 if character.isprintable() else UNSEEN
