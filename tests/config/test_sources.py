"""The sources of a run: what a name alone says, and what is kept of what is given."""

from __future__ import annotations

import pytest

from slimpajama import SourceConfig, load_config
from slimpajama.config.dedup import REDPAJAMA_SET_NAMES


@pytest.mark.parametrize(("name", "set_name"), list(REDPAJAMA_SET_NAMES.items()))
def test_a_source_of_redpajama_needs_only_its_name(name: str, set_name: str) -> None:
    source = load_config(sources=[name]).sources[0]
    folders = ("books/**", "book/**") if name == "books" else (f"{name}/**",)
    assert source == SourceConfig(name=name, paths=folders, set_name=set_name)


def test_any_other_source_is_its_folder_and_carries_its_own_name() -> None:
    assert load_config(sources=["patents"]).sources[0].model_dump() == {
        "name": "patents",
        "paths": ("patents/**",),
        "set_name": "patents",
    }


def test_what_a_source_says_is_kept() -> None:
    given = {"name": "c4", "paths": ["web/c4-*.jsonl"], "set_name": "C4"}
    assert load_config(sources=[given]).sources[0].model_dump() == {**given, "paths": ("web/c4-*.jsonl",)}


def test_the_default_order_of_sources_has_the_curated_first() -> None:
    assert list(REDPAJAMA_SET_NAMES) == ["wikipedia", "books", "arxiv", "stackexchange", "github", "c4", "common_crawl"]
