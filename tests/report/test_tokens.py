"""The token statistics and the table of mixtures equal what the store and the files say by another route."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.report.measured import measured
from slimpajama.report.opened_output import open_output
from slimpajama.report.sections.divergence import divergence
from slimpajama.report.sections.token_counts import count_tokens, document_lengths
from slimpajama.report.sections.token_subsets import subset_masks
from slimpajama.report.sections.tokens import tokens as token_section
from slimpajama.storage.atomic import read_json
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore, open_store


def store_of(output: Path) -> TokenStore:
    return open_store(output / "mixtures" / "tokens")


def train(store: TokenStore, source: str, scope: str = "global") -> np.ndarray:
    """All train tokens of a source, by the way that mixtures read them."""
    stream = store.stream(source, "train", Selection(scope))
    return stream.read(0, stream.tokens, 0)[0]


def smoothed(counts: list[Counter[int]]) -> list[dict[int, float]]:
    """The distributions that KL compares, in plain Python."""
    plain = [{token: count / own.total() for token, count in own.items()} for own in counts]
    every = set().union(*plain)
    mean = {token: math.fsum(own.get(token, 0) for own in plain) / len(plain) for token in every}
    return [{token: 0.99 * own.get(token, 0) + 0.01 * mean[token] for token in every} for own in plain]


def kl(one: dict[int, float], other: dict[int, float]) -> float:
    return math.fsum(share * math.log(share / other[token]) for token, share in one.items() if share)


def test_divergences_are_those_of_the_tokens_in_the_store(whole: Path) -> None:
    section, store = measured(whole).tokens, store_of(whole)
    assert section is not None
    assert section.compared == store.sources
    texts = tokenizers.Tokenizer.from_file(str(store.layout.tokenizer))
    counts = [Counter(train(store, source).tolist()) for source in store.sources]
    for own in counts:
        del own[store.end_of_text]
    assert section.counted_tokens == sum(own.total() for own in counts)

    def letters(token: int) -> bool:
        return texts.decode([token]).removeprefix(" ").isalpha()

    for name, wanted in (("all", lambda token: True), ("letters", letters)):
        subset = next(one for one in section.subsets if one.name == name)
        inside = [Counter({token: n for token, n in own.items() if wanted(token)}) for own in counts]
        shares = smoothed(inside)
        for i, own in enumerate(counts):
            assert subset.shares[i] == pytest.approx(inside[i].total() / own.total())
            for j in {0, len(counts) - 1}:
                assert subset.kl[i][j] == pytest.approx(kl(shares[i], shares[j]), abs=1e-9)


def test_the_floor_is_what_chance_makes_of_one_distribution() -> None:
    draw = np.random.default_rng(1)
    shares = draw.dirichlet(np.ones(50), size=2)
    counts = np.array([[draw.multinomial(100_000, own) for _ in range(2)] for own in shares])
    found = divergence(counts)
    for i in range(2):
        floor, distance = found.floor[i], found.kl[i][1 - i]
        assert floor is not None
        assert distance is not None
        assert 0.2 < floor / (49 / 100_000) < 5  # half the degrees of freedom over each half's size, in both halves
        assert floor < distance / 100


def test_divergence_by_hand() -> None:
    half = [[2, 2, 0], [2, 2, 0]]
    other = [[0, 1, 1], [1, 2, 3]]
    found = divergence(np.array([half, [[0, 0, 0], [0, 0, 0]], other]))
    one, two = [0.5, 0.5, 0.0], [1 / 8, 3 / 8, 4 / 8]
    mean = [(a + b) / 2 for a, b in zip(one, two, strict=True)]
    p, q = ([0.99 * a + 0.01 * m for a, m in zip(own, mean, strict=True)] for own in (one, two))
    assert found.kl[0][2] == pytest.approx(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    assert found.kl[2][0] == pytest.approx(sum(b * math.log(b / a) for a, b in zip(p, q, strict=True)))
    middle = [(a + b) / 2 for a, b in zip(one, two, strict=True)]
    js = sum(a * math.log(a / m) for a, m in zip(one, middle, strict=True) if a) / 2
    js += sum(b * math.log(b / m) for b, m in zip(two, middle, strict=True) if b) / 2
    assert found.js[0][2] == found.js[2][0] == pytest.approx(js)
    assert found.kl[0][0] == found.js[2][2] == 0
    assert found.floor[0] == 0
    assert (found.floor[2] or 0) > 0
    assert found.kl[1] == found.js[1] == (None, None, None)
    assert [row[1] for row in found.kl] == [None, None, None]
    assert found.floor[1] is None


def test_nothing_diverges_from_nothing() -> None:
    found = divergence(np.zeros((2, 2, 5), dtype=np.int64))
    assert found.kl == ((None, None), (None, None))
    assert found.floor == (None, None)


@given(st.lists(st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=2, max_size=2), max_size=4))
def test_divergences_are_finite_and_never_negative(counts: list[list[list[int]]]) -> None:
    found = divergence(np.array(counts, dtype=np.int64).reshape(len(counts), 2, 4))
    for i, row in enumerate(found.js):
        for j, value in enumerate(row):
            assert value is None or 0 <= value <= math.log(2) + 1e-9
            assert value == found.js[j][i]
            other = found.kl[i][j]
            assert (other is None) == (value is None)
            assert other is None or 0 <= other <= math.log(100 * len(counts))


def test_tokens_are_sorted_into_subsets_by_their_text() -> None:
    texts = [" the", "été", "word2", " 30", "+", " =", "\n", "  ", "====", " #", "", "\ufffd", "a b", "-", "==", "1,5"]
    counts = {"one": np.array([5] + [0] * 14 + [1]), "other": np.array([0] * 16)}
    masks = subset_masks(texts, counts)
    found = {name: [text for text, inside in zip(texts, mask, strict=True) if inside] for name, mask in masks.items()}
    assert found == {
        "all": texts,
        "letters": [" the", "été"],
        "top": [" the", "1,5"],
        "numbers": [" 30", "+", " =", "-", "=="],
        "space": ["\n", "  "],
        "marks": ["====", " #"],
    }


def test_the_top_of_a_source_is_a_thousand_tokens() -> None:
    counts = {"one": np.arange(3000), "other": np.arange(3000)[::-1]}
    assert subset_masks([""] * 3000, counts)["top"].sum() == 2000


def test_lengths_are_those_of_whole_documents(whole: Path) -> None:
    section, store = measured(whole).tokens, store_of(whole)
    assert section is not None
    for row in section.sources:
        lengths = document_lengths(store, row.source)
        assert lengths.sum() == row.global_tokens == train(store, row.source).size
        assert lengths.size == row.global_documents
        assert (lengths > store.piece_tokens).any() or row.source != "books"
        bins = [one for one in section.lengths if one.source == row.source]
        assert sum(one.documents for one in bins) == lengths.size
        assert sum(one.tokens for one in bins) == lengths.sum()
        assert all(one.least * one.documents <= one.tokens <= one.most * one.documents for one in bins)


def test_of_a_large_source_whole_buckets_are_counted(whole: Path) -> None:
    store = store_of(whole)
    everything = count_tokens(store, ["c4"], [store.end_of_text], 1 << 40)
    some = count_tokens(store, ["c4"], [store.end_of_text], 1)
    assert 0 < some.counted <= everything.counted
    opened = open_output(whole).mixtures
    assert opened is not None
    assert token_section(opened, most_tokens=1).counted_tokens <= token_section(opened).counted_tokens


def test_mixtures_are_what_their_files_hold(whole: Path) -> None:
    section = measured(whole).mixtures
    assert section is not None
    assert [one.name for one in section.mixtures] == ["mine", "near"]
    assert [one.scope for one in section.mixtures] == ["global", "local"]
    for mixture in section.mixtures:
        table = pq.read_table(sorted((whole / "mixtures" / mixture.name).glob("train-*.parquet")))
        counts = Counter(table.column("source").to_pylist())
        assert mixture.sequences == table.num_rows
        assert mixture.tokens == table.num_rows * 128
        for row in mixture.sources:
            assert row.got == pytest.approx(100 * counts[row.source] / table.num_rows)
            assert row.tokens == counts[row.source] * 128
            if not mixture.repeats:
                assert row.epochs == pytest.approx(row.tokens / row.available)
        assert {row.source: row.asked for row in mixture.sources} == pytest.approx(
            {"common_crawl": 60, "c4": 30, "github": 10}
        )


def test_repeats_are_the_share_of_each_bucket_in_what_is_taken(whole: Path) -> None:
    section, store = measured(whole).mixtures, store_of(whole)
    assert section is not None
    plain, repeating = section.mixtures
    assert plain.repeats == ()
    expected = {"1": 0.0, "2-": 0.0}
    for row in repeating.sources:
        once = store.stream(row.source, "train", Selection("local", (1, 1))).tokens
        more = store.stream(row.source, "train", Selection("local", (2, None))).tokens
        assert row.available == once + 2 * more
        expected["1"] += row.tokens * once / row.available
        expected["2-"] += row.tokens * 2 * more / row.available
    assert dict(repeating.repeats) == {name: round(tokens) for name, tokens in expected.items()}
    assert abs(sum(expected.values()) - repeating.tokens) < 1


def test_the_holdout_is_what_the_store_says(whole: Path) -> None:
    section = measured(whole).mixtures
    assert section is not None
    accounts = read_json(whole / "mixtures" / "tokens" / "summary.json")["sources"]
    for row in section.holdout:
        own = accounts[row.source]["global"]
        assert row.validation_tokens == own["tokens"]["validation"]
        assert row.test_documents == own["documents"]["test"]
        assert row.near_held_out_documents == own["documents"]["near_held_out"]
