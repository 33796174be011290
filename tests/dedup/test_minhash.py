"""Signatures are datasketch's, bit for bit."""

from __future__ import annotations

import random

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from slimpajama import ConfigError, shingle_hashes, signature
from slimpajama.dedup.minhash import permutations
from slimpajama.text.cleaning import Cleaning
from slimpajama.text.shingles import BLOCK, Unit
from tests.twins import LONG_TEXT, shingles


def datasketch_of(text: str, num_perm: int = 128, seed: int = 1) -> MinHash:
    """One update per shingle, as the published script does."""
    sketch = MinHash(num_perm=num_perm, seed=seed, scheme="affine32", hashfunc=int)
    for value in shingle_hashes(text).tolist():
        sketch.update(value)
    return sketch


@given(LONG_TEXT)
def test_a_signature_equals_datasketchs(text: str) -> None:
    ours = signature(text)
    assert ours.dtype == np.uint32
    assert np.array_equal(ours, datasketch_of(text).hashvalues)


@given(LONG_TEXT, st.integers(1, 300), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_so_does_one_of_any_length_and_seed(text: str, num_perm: int, seed: int) -> None:
    assert np.array_equal(signature(text, num_perm, seed), datasketch_of(text, num_perm, seed).hashvalues)


@pytest.mark.parametrize(
    ("unit", "length", "cleaning"),
    [
        ("word", 5, "slimpajama"),
        ("word", 3, "none"),
        ("character", 24, "slimpajama"),
        ("character", 64, "unicode"),
        ("character", 3, "none"),
        ("word", 13, "unicode"),
    ],
)
@given(text=LONG_TEXT)
@settings(max_examples=30)
def test_so_does_one_of_any_shingles_and_cleaning(unit: Unit, length: int, cleaning: Cleaning, text: str) -> None:
    sketch = MinHash(num_perm=64, seed=5, scheme="affine32", hashfunc=int)
    for value in shingle_hashes(text, unit=unit, length=length, cleaning=cleaning).tolist():
        sketch.update(value)
    ours = signature(text, 64, 5, unit=unit, length=length, cleaning=cleaning)
    assert np.array_equal(ours, sketch.hashvalues)


@pytest.mark.parametrize("length", [13, 14, 15, 75, 76, 77, 140, BLOCK + 11, BLOCK + 12, BLOCK + 13, BLOCK + 77])
def test_a_signature_equals_datasketchs_around_every_block_boundary(length: int) -> None:
    text = "".join(chr(0x4E00 + at * at % 4999) for at in range(length))
    assert np.array_equal(signature(text), datasketch_of(text).hashvalues)


@pytest.mark.parametrize("text", ["", " ", "!?", "abcdefghijkl", "A-B-C-D-E-F-G-H-I-J-K-L."])
def test_a_text_of_fewer_than_13_cleaned_characters_has_the_empty_signature(text: str) -> None:
    assert signature(text).tolist() == [2**32 - 1] * 128
    assert MinHash(hashvalues=signature(text), scheme="affine32").is_empty()


def test_thirteen_characters_are_one_shingle() -> None:
    value = shingle_hashes("abcdefghijklm").tolist()
    assert len(value) == 1
    sketch = MinHash(scheme="affine32", hashfunc=int)
    sketch.update(value[0])
    assert np.array_equal(signature("abcdefghijklm"), sketch.hashvalues)


def test_a_document_of_five_megabytes_has_datasketchs_signature() -> None:
    words = [f"w{random.Random(seed).getrandbits(40):x}" for seed in range(200)]
    text = " ".join(random.Random(1).choices(words, k=450_000))
    assert len(text) > 5_000_000
    sketch = MinHash(scheme="affine32", hashfunc=int)
    distinct = np.unique(shingle_hashes(text)).tolist()
    for start in range(0, len(distinct), 20_000):
        sketch.update_batch(distinct[start : start + 20_000])
    assert np.array_equal(signature(text), sketch.hashvalues)


def test_repeating_a_text_changes_only_what_its_seam_adds() -> None:
    text = "the same words come again and again, "
    assert np.array_equal(signature(text * 3), signature(text * 50))


@pytest.mark.parametrize(("num_perm", "seed"), [(128, 1), (256, 42), (1, 0), (17, 2**32 - 1)])
def test_permutations_are_datasketchs(num_perm: int, seed: int) -> None:
    multipliers, addends = permutations(num_perm, seed)
    theirs = MinHash(num_perm=num_perm, seed=seed, scheme="affine32").permutations
    assert np.array_equal(multipliers, theirs[0])
    assert np.array_equal(addends, theirs[1])
    assert (multipliers % 2 == 1).all(), "odd, so that each is a bijection"


def test_permutations_are_these_forever() -> None:
    multipliers, addends = permutations(128, 1)
    assert multipliers[:3].tolist() == [3582191691, 4270784983, 1892572953]
    assert addends[:3].tolist() == [214548472, 3287733501, 2301657549]


@pytest.mark.parametrize(
    ("num_perm", "seed", "message"),
    [
        (0, 1, "num_perm is 0; it must lie between 1 and 65,536"),
        (65_537, 1, "num_perm is 65537; it must lie between 1 and 65,536"),
        (128, -1, "seed is -1; it must lie between 0 and 4,294,967,295"),
        (128, 2**32, "seed is 4294967296; it must lie between 0 and 4,294,967,295"),
    ],
)
def test_impossible_parameters_are_refused_by_name(num_perm: int, seed: int, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        signature("some text", num_perm=num_perm, seed=seed)
    assert str(refusal.value) == message


def near_copies(words: int, changed: int) -> tuple[str, str]:
    generator = random.Random(words + changed)
    vocabulary = [f"{generator.getrandbits(32):x}" for _ in range(5000)]
    left = generator.choices(vocabulary, k=words)
    right = list(left)
    for place in generator.sample(range(words), changed):
        right[place] = generator.choice(vocabulary)
    return " ".join(left), " ".join(right)


def jaccard(left: str, right: str) -> float:
    a, b = set(shingles(left)), set(shingles(right))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("changed", [0, 8, 25, 60, 150, 400])
def test_a_saved_signature_opens_in_datasketch_and_estimates_the_jaccard_similarity(changed: int) -> None:
    left, right = near_copies(400, changed)
    sketches = [reopened(signature(text, num_perm=1024)) for text in (left, right)]
    true = jaccard(left, right)
    error = 5 * (true * (1 - true) / 1024) ** 0.5
    assert sketches[0].jaccard(sketches[1]) == pytest.approx(true, abs=error + 0.002)


def reopened(values: NDArray[np.uint32]) -> MinHash:
    return MinHash(hashvalues=np.frombuffer(values.tobytes(), dtype=np.uint32), scheme="affine32")
