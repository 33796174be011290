"""Which texts are too near to a held-out one, against a slow twin of sets."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.texts import Texts
from slimpajama.tokens.contents import is_among, text_hashes
from slimpajama.tokens.near_texts import NearTexts, SharingFiles, near_contents, sharing_of, write_sharing
from tests.tokens.test_held_out_runs import held_out, runs_of, words

BLOCKS = [" ".join(words(100 + number, 15)) for number in range(12)]


def near(held: list[str], shards: list[list[str]], share: float, most_holders: int) -> list[list[bool]]:
    """Which texts of which shard are near."""
    found = found_of(held, shards, share, most_holders).contents
    return [is_among(text_hashes([one.encode() for one in own]), found).tolist() for own in shards]


def found_of(held: list[str], shards: list[list[str]], share: float, most_holders: int) -> NearTexts:
    index = held_out(held)
    with TemporaryDirectory() as name:
        files = []
        for shard, own in enumerate(shards):
            files.append(SharingFiles(Path(name) / f"{shard}.a.npy", Path(name) / f"{shard}.b.npy"))
            half = len(own) // 2  # in two batches
            parts = [sharing_of(Texts.of(part), index) for part in (own[:half], own[half:])]
            write_sharing(files[-1], parts)
        return near_contents(index, files, share, most_holders)


def slowly(held: list[str], shards: list[list[str]], share: float, most_holders: int) -> list[list[bool]]:
    held_runs, texts = [runs_of(one) for one in held], [[runs_of(one) for one in own] for own in shards]
    holders = [own for shard in texts for own in shard]
    wanted = set().union(*held_runs)
    common = {run for run in wanted if sum(run in own for own in holders) > most_holders}

    def is_near(own: set[tuple[str, ...]]) -> bool:
        return any(
            len(own & one - common) >= share * min(len(own - common), len(one - common)) - 1e-9
            for one in held_runs
            if own & one - common
        )

    return [[is_near(own) for own in shard] for shard in texts]


text = st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=5).map(" ".join)


@given(
    st.lists(text, min_size=1, max_size=3),
    st.lists(st.lists(text, max_size=5), min_size=1, max_size=3),
    st.sampled_from([0.1, 0.3, 0.5, 0.8, 1.0]),
    st.integers(1, 6),
)
def test_what_is_near_is_what_sets_say(
    held: list[str], shards: list[list[str]], share: float, most_holders: int
) -> None:
    assert near(held, shards, share, most_holders) == slowly(held, shards, share, most_holders)


def test_a_page_around_a_held_out_text_an_excerpt_of_it_and_an_other_version_are_near() -> None:
    a, b, c, d, *others = BLOCKS
    held = [f"{a} {b} {c}"]
    page, excerpt, version, quoting = " ".join([*others, *held]), b, f"{d} {b} {c}", " ".join([*others, a[:90]])
    assert near(held, [[page, excerpt, version, quoting, d, "few words"]], 0.5, 32) == [[True] * 3 + [False] * 3]


def test_a_licence_that_many_documents_hold_does_not_count() -> None:
    licence, others = " ".join(BLOCKS[:3]), BLOCKS[3:]
    files = [f"{licence} {one}" for one in others[:8]]
    held = [f"{licence} {others[8][:10]}"]
    assert near(held, [files], 0.5, 8) == [[True] * 8]
    assert near(held, [files], 0.5, 7) == [[False] * 8]


@given(
    st.lists(text | st.just("few words"), min_size=1, max_size=4),
    st.lists(st.lists(text, max_size=5), min_size=1, max_size=3),
    st.integers(1, 6),
)
def test_common_is_what_stands_for_half_in_too_many_texts(
    held: list[str], shards: list[list[str]], most_holders: int
) -> None:
    holders = [runs_of(one) for own in shards for one in own]
    runs = [runs_of(one) for one in held]
    many = [{run for run in own if sum(run in one for one in holders) > most_holders} for own in runs]
    common = [bool(own) and 2 * len(of_many) >= len(own) for own, of_many in zip(runs, many, strict=True)]
    assert found_of(held, shards, 0.5, most_holders).common.tolist() == common
