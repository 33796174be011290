"""What each key of ``prefer`` asks for."""

from __future__ import annotations

import pytest

from slimpajama.config.preference import DATE_FIELDS, Preference, preference


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("source", Preference("source")),
        ("longest", Preference("longest")),
        ("newest", Preference("field", DATE_FIELDS, larger_first=True)),
        ("oldest", Preference("field", DATE_FIELDS, larger_first=False)),
        ("newest:meta.crawl_date", Preference("field", (("meta", "crawl_date"),), larger_first=True)),
        ("oldest:added", Preference("field", (("added",),), larger_first=False)),
        ("meta.score", Preference("field", (("meta", "score"),), larger_first=True)),
        ("-meta.quality.score", Preference("field", (("meta", "quality", "score"),), larger_first=False)),
    ],
)
def test_a_key_names_what_it_takes_and_which_comes_first(key: str, expected: Preference) -> None:
    assert preference(key) == expected


@pytest.mark.parametrize(
    "key", ["", "shortest", "score", "-score", "meta.", ".score", "meta..score", "newest:", "longest:meta.x", "a.b:c"]
)
def test_another_key_is_refused_with_those_there_are(key: str) -> None:
    with pytest.raises(ValueError, match=rf"^there is no key {key!r} of prefer; the keys are source, longest, newest"):
        preference(key)
