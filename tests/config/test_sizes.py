"""Sizes as they are written: with units of 1000 or 1024."""

from __future__ import annotations

import pytest

from slimpajama.config.sizes import parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GiB", 8 << 30),
        ("8 GiB", 8 << 30),
        ("8gib", 8 << 30),
        ("8Gi", 8 << 30),
        ("500MB", 500_000_000),
        ("500m", 500_000_000),
        ("1.5k", 1500),
        ("0.5KiB", 512),
        ("2T", 2 * 10**12),
        ("2TiB", 2 << 40),
        (" 123456 ", 123_456),
        ("7B", 7),
        ("0", 0),
        (4096, 4096),
        (None, None),
    ],
)
def test_sizes_are_written_with_units_of_1000_or_1024(text: object, size: object) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "8 apples", "8PiB", "1,000", "-1", "1e9", "0x10", "8ib", "1.GiB", "nan", "9" * 400]
)
def test_what_is_not_a_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write for example 8GiB, 500MB or a number of bytes$"):
        parse_bytes(text)
