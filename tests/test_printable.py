"""Nothing that a stranger named reaches a terminal as a command to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from slimpajama.cli.main import app
from slimpajama.printable import printable, printable_text
from tests.corpus.shards import put


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, déjà vu 漢字 🦙", "plain, déjà vu 漢字 🦙"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\nb\r\tc\x00\x7f", "a\\x0ab\\x0d\\x09c\\x00\\x7f"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff", "\\xff"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_characters_without_width_are_written_out_in_texts_alone() -> None:
    text = "a\u200bb\ufeff c\u2060\u00add \U000e0041 \U0001f999"
    assert printable(text) == text
    assert printable_text(text) == "a\\u200bb\\ufeff c\\u2060\\xadd \\U000e0041 \U0001f999"
    assert printable_text("a\n\x1b", keep="\n") == "a\n\\x1b"


@given(st.text(st.characters(exclude_categories=())))
def test_everything_shown_can_be_encoded_and_steers_nothing(text: str) -> None:
    shown = printable(text, keep="\n")
    shown.encode()
    assert all(character == "\n" or (character >= " " and not "\x7f" <= character <= "\x9f") for character in shown)
    assert printable(shown, keep="\n") == shown


def test_names_of_files_are_written_out_in_messages_and_warnings(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07"
    put(tmp_path, {f"c4/{evil}.txt": b"", f"c4/{evil}.jsonl.zst": b"no zstd", "c4/b.jsonl": b""})
    arguments = ["dedup", "--input", str(tmp_path), "--output", str(tmp_path) + "-out", "--workers", "1", "--quiet"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert "\x1b" not in result.output
    assert result.stderr.count("\\x1b]0;owned\\x07") == 2
