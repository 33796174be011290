"""The slow, obvious twins of the compiled core, and the alphabets on which a fast one is most likely to differ."""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

MODULUS = 1 << 64
BASE = 0x9E3779B97F4A7C15
PUBLISHED = (9, 13)

ALL_POINTS = [point for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
MARKS = [chr(point) for point in ALL_POINTS if unicodedata.combining(chr(point))]


def published_clean(text: str) -> str:
    """The cleaning of the published scripts, written down once more."""
    kept = "".join(char for char in text.lower() if char not in string.punctuation)
    return re.sub(r"\s+", " ", kept.strip())


def unicode_clean(text: str) -> str:
    """As the published cleaning, without any punctuation of Unicode, and without ASCII's in full width."""
    full_width = {chr(ord(mark) + 0xFEE0) for mark in string.punctuation}
    kept = [char for char in text.lower() if unicodedata.category(char)[0] != "P" and char not in full_width]
    return published_clean("".join(kept))


def shingles(text: str, length: int = 13) -> list[str]:
    cleaned = published_clean(text)
    return [cleaned[start : start + length] for start in range(len(cleaned) - length + 1)]


def polynomial_hash(shingle: str) -> int:
    return polynomial_of([ord(char) for char in shingle])


def polynomial_of(units: Iterable[int]) -> int:
    whole = 0
    for unit in units:
        whole = (whole * BASE + unit) % MODULUS
    return (whole * BASE % MODULUS) >> 32


SCRIPTS_WITHOUT_SPACES = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u302f\u3038-\u30ff\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f"
    r"\U00020000-\U0010ffff]"
)


def words_of(cleaned: str) -> list[str]:
    """What stands between white space; a character of a script without spaces by itself."""
    return re.sub(SCRIPTS_WITHOUT_SPACES, lambda match: f" {match[0]} ", cleaned).split()


def word_number(word: str) -> int:
    state = BASE
    for char in word:
        state = (state ^ ord(char)) * 0xD6E8FEB86659FD93 % MODULUS
        state ^= state >> 32
    return (state * 0xD6E8FEB86659FD93 % MODULUS) >> 32


def word_shingle_hashes(cleaned: str, length: int) -> list[int]:
    numbers = [word_number(word) for word in words_of(cleaned)]
    return [polynomial_of(numbers[start : start + length]) for start in range(len(numbers) - length + 1)]


def band_key(rows: Sequence[int]) -> int:
    """Sixty-four bits of a band, each value mixed in by a multiplication and a shift."""
    key = BASE
    for value in rows:
        key = ((key ^ value) * 0xD6E8FEB86659FD93) % MODULUS
        key ^= key >> 32
    key = (key * 0xD6E8FEB86659FD93) % MODULUS
    return key ^ (key >> 32)


def band_keys_of(signature: NDArray[np.uint32], bands: int, rows: int) -> list[int]:
    return [band_key(signature[band * rows : (band + 1) * rows].tolist()) for band in range(bands)]


def splitmix(number: int) -> int:
    state = number * BASE % MODULUS
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % MODULUS
    return (state ^ (state >> 27)) * 0x94D049BB133111EB % MODULUS


TEXT_KEYS = [[(1 << 31) | (splitmix(512 * row + at + 1) >> 34) for at in range(512)] for row in range(4)]


def text_hash_of(cleaned: str) -> tuple[int, int]:
    """The 128 bits of a cleaned text: blocks of 1024 characters as sums of products of pairs, then chained."""
    odd = (0xD6E8FEB86659FD93, 0xA0761D6478BD642F)
    lanes = []
    for lane in range(2):
        state = 0
        for start in range(0, len(cleaned), 1024):
            block = [ord(char) for char in cleaned[start : start + 1024]]
            half = (len(block) + 1) // 2
            right = block[half:] + [0] * (2 * half - len(block))
            keys = zip(TEXT_KEYS[2 * lane], TEXT_KEYS[2 * lane + 1], strict=True)
            whole = sum((a + k) * (b + m) for a, b, (k, m) in zip(block[:half], right, keys, strict=False))
            state = (state ^ (whole % MODULUS)) * odd[lane] % MODULUS
            state ^= state >> 32
        state = (state ^ len(cleaned)) * odd[1 - lane] % MODULUS
        state = (state ^ (state >> 32)) * odd[lane] % MODULUS
        lanes.append(state ^ (state >> 32))
    return lanes[0], lanes[1]


def components(nodes: Iterable[int], edges: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Breadth-first search: the smallest member of each node's component."""
    neighbours: dict[int, set[int]] = {node: set() for node in nodes}
    for left, right in edges:
        neighbours.setdefault(left, set()).add(right)
        neighbours.setdefault(right, set()).add(left)
    root: dict[int, int] = {}
    for start in sorted(neighbours):
        if start in root:
            continue
        queue = [start]
        root[start] = start
        for node in queue:
            for neighbour in sorted(neighbours[node] - root.keys()):
                root[neighbour] = start
                queue.append(neighbour)
    return root


def canonical_pairs() -> list[tuple[str, str]]:
    """Every two code points into which Unicode splits one, in the order of the tables."""
    pairs = []
    for point in ALL_POINTS:
        parts = unicodedata.decomposition(chr(point)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            pairs.append((chr(int(parts[0], 16)), chr(int(parts[1], 16))))
    return pairs


# Letters and marks that a kernel working on single code points could get wrong.
SIGMA_CONTEXTS = st.text(alphabet="ΣσςΑαA.'’\u00ad\u0301\u0345 -\u200b1İ", max_size=12)
WHITE_SPACE = st.text(
    alphabet="a.\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u200b\ufeff",
    max_size=30,
)
CASE = st.text(alphabet="AaİIıi\u0307ßẞſKÅΩǅǆŉΐﬃⅣⓐꭰᏸ𐐀𐐨𞤀𞤢!\x00", max_size=30)
COMPOSING = st.text(
    alphabet="eo\u0301\u0302\u0323\u0328\u0345\u0344\u0340é\u1ebfǭ\u0915\u093c\u0958\u0627\u0653\u09c7\u09d7\u0b47\u0b56"
    "\u0bc6\u0bd7\u1025\u102e\u3046\u3099가\u1100\u1161\u11a8\u2126\u212b\ufb1d豈\U0002f800\U0001d15e\U0001d165 .",
    max_size=12,
)
WIDE = st.text(alphabet=st.characters(min_codepoint=0x10000), max_size=20)
LINES = st.lists(st.text(max_size=20), max_size=8).map("\r\n".join)
ANY_TEXT = st.one_of(st.text(), SIGMA_CONTEXTS, WHITE_SPACE, CASE, COMPOSING, WIDE, LINES)
LONG_TEXT = st.builds(
    lambda parts, times: "".join(parts) * times, st.lists(ANY_TEXT, min_size=1, max_size=6), st.integers(1, 40)
)


def run_words(text: str) -> list[str]:
    """The words that runs are made of: letters and digits without their marks, in lower case."""
    words, word = list[str](), ""
    for char in text:
        if not char.isalnum() and unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf") and ord(char) < 0x20000:
            continue
        alone = SCRIPTS_WITHOUT_SPACES.match(char) is not None
        counts = char.isalnum() if ord(char) < 0x20000 else ord(char) < 0x40000
        if word and (alone or not counts):
            words.append(word)
            word = ""
        if counts:
            parts = unicodedata.normalize("NFD", char) if ord(char) < 0x20000 else char
            plain = parts[0] if all(map(unicodedata.combining, parts[1:])) else char
            word += plain.casefold() if len(plain.casefold()) == 1 else plain.lower()[0]
            if alone:
                words.append(word)
                word = ""
    return words + [word] * bool(word)


def run_word_number(word: str) -> int:
    """Sixteen bytes of the word at a time; a character beyond ASCII is three bytes of seven bits each."""
    coded = b"".join(
        char.encode() if char.isascii() else bytes(0x80 | (ord(char) >> shift) & 0x7F for shift in (0, 7, 14))
        for char in word
    )
    state = 0xA0761D6478BD642F
    for start in range(0, len(coded), 16):
        first, second = (int.from_bytes(coded[at : at + 8], "little") for at in (start, start + 8))
        state = ((state ^ first) * 0xD6E8FEB86659FD93 + second * 0x94D049BB133111EB) % MODULUS
        state ^= state >> 32
    return state


def run_hash_of(words: Sequence[str]) -> int:
    """Of one run: a polynomial of the numbers of its words."""
    run = 0
    for word in words:
        run = (run * BASE + run_word_number(word)) % MODULUS
    return run
