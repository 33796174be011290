"""What is said of a holdout that may not be meant, with its numbers."""

from __future__ import annotations

from slimpajama.tokens.draw import HoldoutAccount, SourceHoldout
from slimpajama.tokens.holdout_warnings import holdout_warnings
from slimpajama.tokens.summary import Counts


def unused(*sources: str) -> dict[str, Counts]:
    nothing = Counts(in_=0, train=0, validation=0, test=0, reserve=0, excluded=0, decontaminated=0, near_held_out=0)
    return dict.fromkeys(sources, nothing)


def account(how: str, tokens: dict[str, int]) -> HoldoutAccount:
    wanted = 100 if how == "drawn" else 0
    nothing = {"validation": 0, "test": 0}
    sources = {
        name: SourceHoldout(tokens=count, wanted=wanted, documents=nothing, given=nothing, reserve=0)
        for name, count in tokens.items()
    }
    return HoldoutAccount(how=how, sources=sources, gone=0, without_validation=(), without_test=())


def test_an_empty_source_is_not_told_that_it_is_small() -> None:
    empty, small = holdout_warnings(account("drawn", {"b": 5, "a": 0}), unused("a", "b"), {}, {})
    assert empty == "source a holds nothing out, as no document of it is kept in the global scope"
    assert small.startswith("source b has no held-out document for validation and test, as its 5 tokens are few ")


def test_counts_stand_in_the_order_of_the_corpus() -> None:
    removed = {("validation", "test"): {"a": 1, "b": 2000}, ("test", "train"): {"a": 3}}
    to_test, to_train, common = holdout_warnings(
        account("published", {"a": 9, "b": 9}), unused("b", "a"), {"a": 4, "b": 5, "c": 0}, removed
    )
    assert to_test.endswith(
        "near-duplicates of documents of test, which stay, and so they are in no split: 2,000 of b, 1 of a"
    )
    assert "documents of train of a source that comes earlier, which stay, " in to_train
    assert common.startswith("held-out documents that are boilerplate: 5 of b, 4 of a; at least half of each also ")
    assert len(holdout_warnings(account("taken over", {"a": 9, "b": 9}), unused("b", "a"), {}, removed)) == 0


def drawn(given: int, gone: int = 0) -> HoldoutAccount:
    both = {"validation": given, "test": given}
    books = SourceHoldout(tokens=1000, wanted=100, documents={"validation": 2, "test": 2}, given=both, reserve=1)
    return HoldoutAccount(how="drawn", sources={"books": books}, gone=gone, without_validation=(), without_test=())


def books(train: int) -> dict[str, Counts]:
    counts = Counts(
        in_=1000,
        train=train,
        validation=60,
        test=60,
        reserve=50,
        excluded=0,
        decontaminated=0,
        near_held_out=0,
        beyond=830 - train,
    )
    return {"books": counts}


def test_a_source_that_gives_too_little_tells_how_much_of_it_is_not_in_train() -> None:
    (said,) = holdout_warnings(drawn(60), books(735), {}, {})
    assert said.startswith(
        "source books holds out 60 tokens for validation and 60 tokens for test, all it can give of "
    )
    assert said.endswith("265 tokens of the source (26.5 %) are not in train")
    assert holdout_warnings(drawn(100), books(735), {}, {}) == []


def test_a_document_that_is_kept_instead_of_a_held_out_one_may_be_in_train() -> None:
    (said,) = holdout_warnings(drawn(100, gone=2), books(735), {}, {})
    assert said == (
        "2 held-out documents of the earlier store are no longer kept, so they are in no split; a near-duplicate that "
        "is kept instead of one may be in train: measure on this holdout, not on the earlier files"
    )
