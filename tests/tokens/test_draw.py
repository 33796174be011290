"""The draw: by tokens, by content, the same on any way there, and stable when a corpus grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from slimpajama.tokens.draw import (
    CANDIDATE,
    CandidateList,
    Drawn,
    HoldoutRule,
    candidates,
    draw,
    published,
    taken_over,
)
from slimpajama.tokens.holdout import EXCLUDED, HELD_OUT, RESERVE, TEST, TRAIN, VALIDATION
from slimpajama.tokens.seeded_order import seeded_hash

RULE = HoldoutRule(share=0.01, least=32_768, most=524_288, seed=1)
SMALL = HoldoutRule(share=0.05, least=64, most=256, seed=5)


def rows_of(tokens: Sequence[int], first: int = 0, shard: int = 0) -> NDArray[np.void]:
    """Documents of different texts, each alone in its cluster."""
    rows = np.zeros(len(tokens), dtype=CANDIDATE)
    number = np.arange(first, first + len(tokens), dtype=np.uint64)
    rows["text"] = np.stack([seeded_hash(number, 7, "text"), seeded_hash(number, 7, "more text")], axis=1)
    rows["id"] = rows["cluster"] = np.uint64(shard << 40) + number
    rows["tokens"] = tokens
    rows["survives"] = True
    return rows


def drawn_of(rows: NDArray[np.void], rule: HoldoutRule = SMALL) -> Drawn:
    return draw({"s": rows}, {"s": int(rows["tokens"][rows["survives"]].sum())}, rule)


def states_of(drawn: Drawn) -> dict[int, int]:
    return dict(zip(drawn.rows["cluster"].tolist(), drawn.rows["state"].tolist(), strict=True))


def contents_of(drawn: Drawn, *states: int) -> set[bytes]:
    return {row["text"].tobytes() for row in drawn.rows if row["state"] in states}


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [(1_000, 32_768), (3_276_800, 32_768), (10_000_000, 100_000), (10**12, 524_288)],
)
def test_what_a_split_wants_of_a_source(tokens: int, wanted: int) -> None:
    assert RULE.wanted(tokens) == wanted
    assert replace(RULE, share=0.0).wanted(tokens) == 0


def test_a_large_source_gives_what_is_wanted_in_at_least_sixteen_documents() -> None:
    sizes = np.random.default_rng(1).integers(50, 20_000, 4_000)
    drawn = drawn_of(rows_of(sizes.tolist()), RULE)
    wanted = int(0.01 * sizes.sum())
    account = drawn.account.sources["s"]
    assert (account.tokens, account.wanted) == (sizes.sum(), wanted)
    for split, state in (("validation", VALIDATION), ("test", TEST)):
        given = drawn.rows["tokens"][drawn.rows["state"] == state]
        assert given.max() <= wanted // 16
        assert wanted <= given.sum() < wanted + wanted // 16
        assert (account.given[split], account.documents[split]) == (given.sum(), given.size)
    assert account.reserve == np.count_nonzero(drawn.rows["state"] == RESERVE)
    full = dict(zip(rows_of(sizes.tolist())["cluster"].tolist(), sizes.tolist(), strict=True))
    kept_back = sum(min(full[int(row["cluster"])], wanted // 16) for row in drawn.rows if row["state"] == RESERVE)
    assert 2 * 0.2 * wanted < kept_back < 2 * 0.35 * wanted


def test_a_split_takes_no_more_than_a_tenth_of_a_source() -> None:
    drawn = drawn_of(rows_of([100] * 50), replace(RULE, least=5_000))
    assert drawn.account.sources["s"].documents == {"validation": 5, "test": 5}
    assert drawn.account.sources["s"].given == {"validation": 500, "test": 500}
    capped = drawn_of(rows_of([100] * 50), replace(RULE, least=1_000))
    assert capped.account.sources["s"].given == {"validation": 5 * 62, "test": 5 * 62}  # a sixteenth of 1,000 each


def test_a_document_that_is_more_than_a_tenth_is_passed_over() -> None:
    drawn = drawn_of(rows_of([100_000] + [100] * 400), replace(RULE, least=2_000))
    assert 0 not in states_of(drawn)
    assert min(drawn.account.sources["s"].given.values()) >= 2_000
    few = drawn_of(rows_of([100_000] * 4), RULE)
    assert few.account.sources["s"].documents == {"validation": 1, "test": 1}
    assert few.account.sources["s"].given == {"validation": 2_048, "test": 2_048}
    none = drawn_of(rows_of([100] * 2), RULE)
    assert none.account.without_validation == none.account.without_test == ("s",)
    assert not none.rows.size


def test_nothing_is_drawn_where_nothing_is_wanted() -> None:
    drawn = drawn_of(rows_of([100] * 50), replace(RULE, share=0.0))
    assert (drawn.rows.size, drawn.account.how) == (0, "none")


def test_each_text_is_held_out_once_in_all_sources() -> None:
    ours = rows_of([10] * 300)
    theirs = rows_of([10] * 300, shard=1)  # the same texts, in clusters of their own
    drawn = draw({"a": ours, "b": theirs}, {"a": 3_000, "b": 3_000}, SMALL)
    texts = [row["text"].tobytes() for row in drawn.rows if row["state"] in (VALIDATION, TEST)]
    assert len(texts) == len(set(texts)) > 20
    assert all(one.given[split] >= 64 for one in drawn.account.sources.values() for split in ("validation", "test"))


def test_of_equal_texts_in_a_source_the_first_is_held_out() -> None:
    rows = np.concatenate([rows_of([10] * 300, shard=shard) for shard in (2, 0, 1)])
    drawn = drawn_of(rows)
    assert drawn.rows.size
    assert drawn.rows["cluster"].max() < 1 << 40


def slow_draw(rows: NDArray[np.void], rule: HoldoutRule) -> dict[int, tuple[int, int]]:
    """Said slowly, of survivors of different texts: cluster -> state, tokens."""
    total = int(rows["tokens"].sum())
    tenth = int(0.1 * total)
    asked = min(max(int(rule.share * total), rule.least), rule.most)
    wanted = min(asked, tenth)
    order = sorted(rows, key=lambda row: int(seeded_hash(row["text"][:1], rule.seed, "holdout")[0]))
    found = {}
    for bit, split in ((0, VALIDATION), (1, TEST)):
        given, used, next_given, next_used = 0, 0, 0, 0
        for row in order:
            if int(seeded_hash(row["text"][:1], rule.seed, "validation or test")[0]) % 2 != bit:
                continue
            size = int(row["tokens"])
            part = min(size, max(1, asked // 16))
            if given + next_given >= 1.25 * wanted:
                continue
            if given < wanted and used + size <= (tenth if used else total // 3):
                found[int(row["cluster"])] = (split, part)
                given, used = given + part, used + size
            elif used + next_used + size <= 1.25 * tenth:
                found[int(row["cluster"])] = (RESERVE, 0)
                next_given, next_used = next_given + part, next_used + size
    return found


@given(
    st.lists(st.integers(1, 60), max_size=250),
    st.sampled_from([SMALL, replace(SMALL, share=0.1, most=10_000), replace(SMALL, least=1, most=16, seed=9)]),
    st.integers(1, 5),
)
def test_the_draw_is_the_slow_one_however_documents_lie_in_shards(
    sizes: list[int], rule: HoldoutRule, parts: int
) -> None:
    rows = rows_of(sizes)
    shards = []
    for part in range(parts):
        collected = CandidateList(rule)
        for place in range(part, len(sizes), parts):
            collected.add(rows[place : place + 1])
        shards.append(collected.rows())
    drawn = draw({"s": np.concatenate(shards)}, {"s": sum(sizes)}, rule)
    found = {int(row["cluster"]): (int(row["state"]), int(row["tokens"])) for row in drawn.rows}
    assert found == slow_draw(rows, rule)


def test_candidates_are_few_and_hold_the_draw_of_a_large_source() -> None:
    sizes = np.random.default_rng(2).integers(1, 40, 60_000).tolist()
    rows = rows_of(sizes)
    collected = CandidateList(SMALL)
    for begin in range(0, len(sizes), 1_000):
        collected.add(rows[begin : begin + 1_000])
    few = collected.rows()
    assert few.size < 400
    assert np.array_equal(few, candidates(rows, SMALL))
    from_few, from_all = (draw({"s": some}, {"s": sum(sizes)}, SMALL) for some in (few, rows))
    assert np.array_equal(from_few.rows, from_all.rows)


@given(st.integers(0, 10**6), st.integers(1, 5_000), st.sampled_from([300, 3_000]))
def test_one_document_more_moves_nothing_from_held_out_to_train(number: int, tokens: int, size: int) -> None:
    sizes = np.random.default_rng(size).integers(50, 3_000, size).tolist()
    before = drawn_of(rows_of(sizes), replace(RULE, least=8_192))
    more = np.concatenate([rows_of([tokens], first=10**9 + number, shard=99), rows_of(sizes)])
    after = drawn_of(more, replace(RULE, least=8_192))
    held_out = contents_of(before, VALIDATION, TEST)
    assert len(held_out - contents_of(after, VALIDATION, TEST)) <= 1
    assert not held_out - contents_of(after, VALIDATION, TEST, RESERVE)
    same = [row for row in before.rows if row["text"].tobytes() in contents_of(after, VALIDATION)]
    assert all(row["state"] != TEST for row in same)


def test_a_text_that_stands_behind_another_source_takes_its_cluster_out_of_train() -> None:
    rows = rows_of([10] * 300)
    before = drawn_of(rows)
    held_out = next(row for row in before.rows if row["state"] == VALIDATION)
    # Now another source, which comes first, has the document, too: it survives there.
    behind = rows.copy()
    place = int(np.flatnonzero(rows["cluster"] == held_out["cluster"])[0])
    behind["cluster"][place], behind["survives"][place] = 99, False
    first = rows_of([10] * 40_000, first=10**6)
    copy = rows[place : place + 1].copy()
    copy["id"] = copy["cluster"] = 99
    after = draw(
        {"first": np.concatenate([first, copy]), "s": behind}, {"first": 400_010, "s": 2_990}, replace(SMALL, seed=5)
    )
    assert states_of(after)[99] in (EXCLUDED, VALIDATION)


def test_a_published_split_is_taken_as_it_is() -> None:
    rows = rows_of([10] * 6)
    rows["split"] = [VALIDATION, TEST, VALIDATION, TRAIN, TEST, VALIDATION]
    rows["survives"][2] = False
    rows["text"][5] = rows["text"][0]  # a text is held out once
    drawn = published({"s": rows, "t": rows_of([10], first=9)}, {"s": 60, "t": 10})
    assert states_of(drawn) == {0: VALIDATION, 1: TEST, 4: TEST}
    assert drawn.account.how == "published"
    assert drawn.account.sources["s"].given == {"validation": 10, "test": 20}
    assert drawn.account.without_validation == ("t",)


def test_an_earlier_holdout_is_taken_over() -> None:
    earlier = np.zeros(4, dtype=HELD_OUT)
    rows = rows_of([30, 40, 50, 60])
    earlier["text"] = np.concatenate([rows["text"][[0, 1, 3]], rows_of([1], first=77)["text"]])
    earlier["split"] = [VALIDATION, TEST, TEST, TEST]
    earlier["tokens"] = [10, 40, 40, 5]
    earlier = earlier[np.lexsort((earlier["text"][:, 1], earlier["text"][:, 0]))]
    rows["survives"][3], rows["cluster"][3] = False, 12  # now it stands behind another document
    drawn = taken_over({"s": rows}, {"s": 180}, earlier)
    found = {int(row["cluster"]): (int(row["state"]), int(row["tokens"])) for row in drawn.rows}
    assert found == {0: (VALIDATION, 10), 1: (TEST, 40), 12: (EXCLUDED, 0)}
    assert (drawn.account.how, drawn.account.gone) == ("taken over", 2)


def test_another_seed_draws_others() -> None:
    rows = rows_of([100] * 20_000)
    one, two = (contents_of(drawn_of(rows, replace(RULE, seed=seed)), VALIDATION, TEST) for seed in (1, 2))
    assert len(one) == len(two) > 600
    assert len(one & two) < 100
