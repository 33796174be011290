"""A batch of documents is what its documents are one at a time, whichever path they take through the kernel."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimpajama import clean, shingle_hashes, signature
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.one_permutation import bin_minima
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.sketcher import Sketcher, Sketches
from slimpajama.text.cleaning import Cleaning
from slimpajama.text.normalisation import Normalisation, normaliser
from slimpajama.text.shingles import Unit
from tests.twins import COMPOSING, LONG_TEXT, band_keys_of, published_clean, text_hash_of

SHORTEST = 20
SKETCHERS: dict[Normalisation, Sketcher] = {
    name: Sketcher(MinHashParams(min_cleaned_characters=SHORTEST, normalisation=name))
    for name in ("nfc", "ftfy", "none")
}

Row = tuple[int, int, bool, list[int], tuple[int, int]]

TRAVELLERS = "the quick brown fox jumps over the lazy dog"
SLOW = [
    f"{TRAVELLERS} ΟΔΥΣΣΕΥΣ",
    f"İstanbul {TRAVELLERS}",
    f"cafe\u0301 {TRAVELLERS}",
    f"e\u0301 İ ΑΣ {TRAVELLERS}",
    f"\u0627\u0653 {TRAVELLERS}",
    f"\u0928\u093c {TRAVELLERS}",
    f"\u1100\u1161\u11a8 {TRAVELLERS}",
    f"âœ” {TRAVELLERS}\r\n",
    f"€â\u2028İ {TRAVELLERS}",
]


def one_at_a_time(texts: Sequence[str], normalisation: Normalisation, shortest: int = SHORTEST) -> list[Row]:
    """Size, cleaned characters, whether it was rewritten, and keys: by the slow twins and ``signature``."""
    rows = []
    for text in texts:
        stored = normaliser(normalisation)(text)
        cleaned = len(published_clean(stored))
        keys = band_keys_of(signature(stored)[:117], 9, 13) if cleaned >= max(13, shortest) else [0] * 9
        rows.append((len(stored.encode()), cleaned, stored != text, keys, text_hash_of(published_clean(stored))))
    return rows


def rows_of(sketches: Sketches) -> list[Row]:
    return list(
        zip(
            sketches.sizes.tolist(),
            sketches.cleaned.tolist(),
            sketches.rewritten.tolist(),
            sketches.keys.tolist(),
            map(tuple, sketches.hashes.tolist()),
            strict=True,
        )
    )


@given(st.lists(LONG_TEXT | COMPOSING | st.sampled_from([*SLOW, "", " ", TRAVELLERS]), max_size=8))
def test_a_batch_is_its_documents_normalised_measured_and_signed_one_at_a_time(texts: list[str]) -> None:
    assert rows_of(SKETCHERS["nfc"].sketch(Texts.of(texts))) == one_at_a_time(texts, "nfc")


@given(st.lists(LONG_TEXT | st.sampled_from(SLOW), max_size=6))
@settings(max_examples=60)
def test_the_same_holds_for_text_repaired_by_ftfy_and_for_text_left_alone(texts: list[str]) -> None:
    assert rows_of(SKETCHERS["ftfy"].sketch(Texts.of(texts))) == one_at_a_time(texts, "ftfy")
    assert rows_of(SKETCHERS["none"].sketch(Texts.of(texts))) == one_at_a_time(texts, "none")


@pytest.mark.parametrize("normalisation", ["nfc", "ftfy", "none"])
def test_documents_of_the_slow_paths_keep_their_places_among_ordinary_ones(normalisation: Normalisation) -> None:
    texts = ["", *(text for slow in SLOW for text in (slow, TRAVELLERS, "")), "tail"]
    assert rows_of(SKETCHERS[normalisation].sketch(Texts.of(texts))) == one_at_a_time(texts, normalisation)


@pytest.mark.parametrize("text", SLOW)
def test_two_spellings_of_one_text_get_the_same_keys(text: str) -> None:
    spelled = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    sketches = SKETCHERS["nfc"].sketch(Texts.of(spelled))
    assert rows_of(sketches)[0][3] == rows_of(sketches)[1][3]
    assert sketches.sizes.tolist() == [len(spelled[0].encode())] * 2
    assert sketches.rewritten.tolist() == [False, spelled[1] != spelled[0]]


@given(st.lists(COMPOSING, min_size=1, max_size=6))
def test_sizes_are_those_of_the_nfc_bytes_and_rewritten_says_what_nfc_changed(texts: list[str]) -> None:
    sketches = SKETCHERS["nfc"].sketch(Texts.of(texts))
    stored = [unicodedata.normalize("NFC", text) for text in texts]
    assert sketches.sizes.tolist() == [len(text.encode()) for text in stored]
    assert sketches.rewritten.tolist() == [new != old for new, old in zip(stored, texts, strict=True)]


def test_a_batch_of_nothing_is_nothing() -> None:
    sketches = SKETCHERS["nfc"].sketch(Texts.of([]))
    assert rows_of(sketches) == []
    assert sketches.keys.shape == (0, 9)


def test_a_batch_of_empty_texts_has_no_keys() -> None:
    assert rows_of(SKETCHERS["nfc"].sketch(Texts.of(["", "", ""]))) == [(0, 0, False, [0] * 9, text_hash_of(""))] * 3


@pytest.mark.parametrize(
    ("shortest", "has_keys"), [(0, [False, True, True]), (13, [False, True, True]), (14, [False, False, True])]
)
def test_documents_below_the_limit_or_of_no_shingle_get_no_keys(shortest: int, has_keys: list[bool]) -> None:
    sketcher = Sketcher(MinHashParams(min_cleaned_characters=shortest))
    keys = sketcher.sketch(Texts.of(["abcdefghijkl", "abcdefghijklm", "abcdefghijklmn"])).keys
    assert keys.any(axis=1).tolist() == has_keys


def test_what_a_sketcher_saw_before_does_not_matter() -> None:
    long_one = " ".join(f"{number:x}" for number in range(400_000))
    assert len(long_one) > 1 << 20
    sketcher = Sketcher(MinHashParams(min_cleaned_characters=13))
    before = rows_of(sketcher.sketch(Texts.of([TRAVELLERS])))
    assert rows_of(sketcher.sketch(Texts.of([long_one]))) == one_at_a_time([long_one], "nfc")
    assert rows_of(sketcher.sketch(Texts.of([TRAVELLERS]))) == before


@pytest.mark.parametrize(("num_perm", "seed", "bands", "rows"), [(256, 7, 25, 10), (20, 0, 5, 4), (1, 3, 1, 1)])
def test_other_parameters_take_the_first_values_of_that_signature(
    num_perm: int, seed: int, bands: int, rows: int
) -> None:
    sketcher = Sketcher(
        MinHashParams(
            num_perm=num_perm, seed=seed, bands=bands, rows=rows, min_cleaned_characters=13, normalisation="none"
        )
    )
    expected = band_keys_of(signature(TRAVELLERS, num_perm, seed), bands, rows)
    assert sketcher.sketch(Texts.of([TRAVELLERS])).keys.tolist() == [expected]


def test_minima_are_the_low_bytes_of_the_signature_where_removals_are_checked() -> None:
    sketcher = Sketcher(MinHashParams(min_cleaned_characters=20, bands=14, rows=8, num_perm=112, checked=True))
    sketches = sketcher.sketch(Texts.of([TRAVELLERS, "short", *SLOW]))
    assert sketches.minima is not None
    expected = [(signature(text, 112) & 0xFF).tolist() for text in map(normaliser("nfc"), [TRAVELLERS, *SLOW])]
    assert sketches.minima.tolist() == [expected[0], [0] * 112, *expected[1:]]
    assert SKETCHERS["nfc"].sketch(Texts.of([TRAVELLERS])).minima is None


@pytest.mark.parametrize("checked", [False, True])
def test_one_permutation_gives_keys_of_the_first_bins_and_the_low_bytes_of_all(checked: bool) -> None:
    params = MinHashParams(
        num_perm=64, seed=7, bands=5, rows=8, min_cleaned_characters=20, checked=checked, method="one-permutation"
    )
    texts = [TRAVELLERS, *SLOW]
    sketches = Sketcher(params).sketch(Texts.of(texts))
    expected = [bin_minima(text, 64, 7) for text in map(normaliser("nfc"), texts)]
    assert sketches.keys.tolist() == [band_keys_of(signature, 5, 8) for signature in expected]
    if checked:
        assert sketches.minima is not None
        assert sketches.minima.tolist() == [(signature & 0xFF).tolist() for signature in expected]
    else:
        assert sketches.minima is None


@pytest.mark.parametrize("unit", ["character", "word"])
@pytest.mark.parametrize("length", [3, 5, 13, 24])
@pytest.mark.parametrize("cleaning", ["slimpajama", "unicode", "none"])
def test_other_shingles_and_cleanings_give_the_keys_of_that_signature(
    unit: Unit, length: int, cleaning: Cleaning
) -> None:
    params = MinHashParams(shingle_unit=unit, shingle_length=length, cleaning=cleaning, min_cleaned_characters=0)
    texts = ["", "ab", "one two", "一二三", TRAVELLERS, TRAVELLERS.upper() + "。  Ａ！", *SLOW, "x " * 3000]
    sketches = Sketcher(params).sketch(Texts.of(texts))
    for number, text in enumerate(texts):
        stored = normaliser("nfc")(text)
        expected = signature(stored, unit=unit, length=length, cleaning=cleaning)
        has_shingle = shingle_hashes(stored, unit=unit, length=length, cleaning=cleaning).size > 0
        assert sketches.keys[number].tolist() == (band_keys_of(expected[:117], 9, 13) if has_shingle else [0] * 9)
        cleaned = clean(stored, cleaning)
        assert sketches.cleaned[number] == len(cleaned)
        assert tuple(sketches.hashes[number].tolist()) == text_hash_of(cleaned)
