"""The three forms in which a document may be stored."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama import ConfigError
from slimpajama.text.normalisation import normaliser
from tests.twins import COMPOSING


@given(st.text() | COMPOSING)
def test_nfc_is_unicodes_nfc(text: str) -> None:
    assert normaliser("nfc")(text) == unicodedata.normalize("NFC", text)


@given(st.text() | COMPOSING)
def test_none_changes_nothing(text: str) -> None:
    assert normaliser("none")(text) == text


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("âœ” No problems", "✔ No problems"),
        ("cafe\u0301", "caf\u00e9"),
        ("“curly”\r\n", '"curly"\n'),
        ("plain", "plain"),
    ],
)
def test_ftfy_mends_and_then_composes(broken: str, mended: str) -> None:
    assert normaliser("ftfy")(broken) == mended


def test_ftfy_without_the_package_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    monkeypatch.delitem(sys.modules, "slimpajama.text.ftfy_repair", raising=False)
    with pytest.raises(
        ConfigError, match=r"'ftfy' but that package is not installed: pip install 'slimpajama\[ftfy\]'"
    ):
        normaliser("ftfy")
