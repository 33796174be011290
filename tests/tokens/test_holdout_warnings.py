"""What is said of a holdout that may not be meant."""

from __future__ import annotations

from slimpajama.tokens.draw import HoldoutAccount, SourceHoldout
from slimpajama.tokens.holdout_warnings import holdout_warnings


def account(how: str, tokens: dict[str, int]) -> HoldoutAccount:
    wanted = 100 if how == "drawn" else 0
    nothing = {"validation": 0, "test": 0}
    sources = {
        name: SourceHoldout(tokens=count, wanted=wanted, documents=nothing, given=nothing, reserve=0)
        for name, count in tokens.items()
    }
    return HoldoutAccount(how=how, sources=sources, gone=0, without_validation=(), without_test=())


def test_an_empty_source_is_not_told_that_it_is_small() -> None:
    empty, small = holdout_warnings(account("drawn", {"b": 5, "a": 0}), ["a", "b"], {}, {})
    assert empty == "source a holds nothing out, as no document of it is kept in the global scope"
    assert small.startswith("source b has no held-out document for validation and test, as its 5 tokens are few ")


def test_counts_stand_in_the_order_of_the_corpus() -> None:
    removed = {("validation", "test"): {"a": 1, "b": 2000}, ("test", "train"): {"a": 3}}
    to_test, to_train, common = holdout_warnings(
        account("published", {"a": 9, "b": 9}), ["b", "a"], {"a": 4, "b": 5, "c": 0}, removed
    )
    assert to_test.endswith(
        "near-duplicates of documents of test, which stay, and so they are in no split: 2,000 of b, 1 of a"
    )
    assert "documents of train of a source that comes earlier, which stay, " in to_train
    assert common.startswith("held-out documents that are boilerplate: 5 of b, 4 of a; at least half of each also ")
    assert len(holdout_warnings(account("taken over", {"a": 9, "b": 9}), ["b", "a"], {}, removed)) == 0
