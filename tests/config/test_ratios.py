"""A table of ratios: one recipe a row, and every problem with its row."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from slimpajama.config.ratios import recipes_of_ratios
from slimpajama.errors import ConfigError

COMMON = {"name": "swarm", "tokens": "2M", "sequence_length": 512}


def table(folder: Path, text: str) -> Path:
    (folder / "ratios.csv").write_text(text, encoding="utf-8-sig")
    return folder / "ratios.csv"


def message(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        recipes_of_ratios(table(folder, text), COMMON)
    return str(caught.value).replace(str(folder / "ratios.csv"), "FILE")


def test_each_row_is_a_recipe(tmp_path: Path) -> None:
    text = "run,name,index,CommonCrawl,wikipedia\nab12,swarm-a,0,0.75,0.25\ncd34,swarm-b,1,1.0,0\n\n"
    first, second = recipes_of_ratios(table(tmp_path, text), COMMON)
    assert (first.name, first.budget, first.sequence_length) == ("swarm-a", 2_000_000, 512)
    assert first.shares() == {"CommonCrawl": Fraction(3, 4), "wikipedia": Fraction(1, 4)}
    assert (second.name, second.shares()) == ("swarm-b", {"CommonCrawl": Fraction(1)})


def test_rows_without_names_are_numbered(tmp_path: Path) -> None:
    assert [one.name for one in recipes_of_ratios(table(tmp_path, "c4\n1\n1\n"), COMMON)] == [
        "swarm-0000",
        "swarm-0001",
    ]
    assert [one.name for one in recipes_of_ratios(table(tmp_path, "index,c4\n7,1\n"), COMMON)] == ["swarm-7"]


def test_every_problem_is_named_with_its_row(tmp_path: Path) -> None:
    text = "name,c4,books\na,0.5,0.5\nb,0.5,0.4\nc,half,0.5\na,1,0\n../d,1,0\ne,1\nf,0.5,\n"
    assert message(tmp_path, text) == (
        "FILE: row 2: the weights sum to 0.9; as percent they must sum to 100 (within 0.2 for rounded tables), as "
        "fractions to 1 (within 0.002); for other numbers set weights_are to ratio or tokens; "
        "row 3: 'half' in column 'c4' is no number; write 0 for nothing; "
        "row 4: its name 'a' is that of row 1, too; "
        "row 5: name: must be made of A-Z, a-z, 0-9, '.', '_' and '-' and begin with a letter or digit (given: "
        "'../d'); "
        "row 6: it has 2 cells, and the heading has 3; "
        "row 7: '' in column 'books' is no number; write 0 for nothing; correct the table"
    )


def test_of_very_many_problems_ten_are_shown(tmp_path: Path) -> None:
    assert message(tmp_path, "c4\n" + "x\n" * 300).endswith(
        "row 10: 'x' in column 'c4' is no number; write 0 for nothing; and 290 more rows; correct the table"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "FILE has no mixture; write a heading of run, name, index and the sources, then one mixture a row"),
        ("name,index\na,1\n", "FILE has no mixture; write a heading of run, name, index and the sources, then one mix"),
        (
            "name,c4\n",
            "FILE has no mixture; write a heading of run, name, index and the sources, then one mixture a row",
        ),
        ("c4,c4\n1,0\n", "FILE has two columns named 'c4'; each column needs a name of its own"),
        ("c4,\n1,0\n", "FILE has a column without a name; each column needs a name of its own"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert message(tmp_path, text).startswith(said)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the ratios .*none\.csv: No such file or directory"):
        recipes_of_ratios(tmp_path / "none.csv", COMMON)
    (tmp_path / "ratios.csv").write_bytes(b"c4\n\xff\n")
    with pytest.raises(ConfigError, match=r"ratios\.csv is not CSV: "):
        recipes_of_ratios(tmp_path / "ratios.csv", COMMON)


def test_weights_beside_the_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"base\.yaml has weights, and so has each row of .*; leave weights out of base"
    ):
        recipes_of_ratios(table(tmp_path, "c4\n1\n"), {**COMMON, "weights": {"c4": 1}}, "base.yaml")
