"""Parts of a source by a metadata column, from shards to a mixture: exactly the right documents are in it."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

import slimpajama
from slimpajama.cli.main import app
from slimpajama.errors import ConfigError
from slimpajama.tokens.selection import Selection, Where
from slimpajama.tokens.store import open_store

LANGUAGES: tuple[object, ...] = ("python", "java", "c/c++", "../../etc", None, 3, ["python"])
PARTS = {"github/python": 20, "github/c/c++": 20, "github/(none)": 20, "github/3": 20, "wikipedia/en": 20}
SPLIT = {"github": "meta.language", "wikipedia": "meta.lang.0.code"}


def records(source: str) -> list[dict[str, Any]]:
    rng = random.Random(source)
    made = []
    for number in range(140 if source == "github" else 60):
        text = " ".join("".join(rng.choices("abcdefghij", k=6)) for _ in range(40))
        language = LANGUAGES[number % len(LANGUAGES)]
        meta = {"language": language} if source == "github" else {"lang": [{"code": "en" if number % 3 else "de"}]}
        made.append({"text": text, "meta": meta, "number": number})
    return made


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GitHub as JSONL, Wikipedia as Parquet."""
    root = tmp_path_factory.mktemp("in")
    for name in ("github", "wikipedia"):
        (root / name).mkdir()
    lines = [orjson.dumps(record) + b"\n" for record in records("github")]
    (root / "github" / "a.jsonl").write_bytes(b"".join(lines[:100]))
    (root / "github" / "b.jsonl").write_bytes(b"".join(lines[100:]))
    pq.write_table(pa.Table.from_pylist(records("wikipedia")), root / "wikipedia" / "a.parquet")
    return root


@pytest.fixture(scope="module")
def deduplicated(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dedup")
    slimpajama.deduplicate(inputs, out, workers=1)
    return out


def write_recipe(folder: Path, name: str, **settings: Any) -> Path:
    common = {"name": name, "tokens": 32_000, "sequence_length": 16, "max_epochs": 100, "provenance": True}
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({**common, **settings}, sort_keys=False))
    return file


def mix(source: Path, out: Path, *words: object) -> Result:
    given = ["mix", "--workers", 1, "--holdout", 0.02, "--input", source, "--output", out, *words]
    return CliRunner().invoke(app, [str(word) for word in given])


@pytest.fixture(scope="module")
def made(deduplicated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mixtures") / "out"
    recipe = write_recipe(out.parent / "recipes", "parts", weights=PARTS, split_by=SPLIT)
    result = mix(deduplicated, out, "--recipe", recipe)
    assert result.exit_code == 0, result.stderr
    assert "github by meta.language: " in result.stdout
    return out


def documents_of(out: Path, dedup: Path, name: str, label: str) -> set[tuple[str, int]]:
    """The documents that sequences of a part are of, by file and place in the input; found by ids alone."""
    rows = slimpajama.load_mixture(out / name).to_table().to_pylist()
    ids = {one for row in rows if row["source"] == label for one in row["document_ids"]}
    decisions = pq.read_table(dedup / "decisions").to_pylist()
    return {(row["shard"], row["position"]) for row in decisions if row["id"] in ids}


def language_of(inputs: Path, shard: str, position: int) -> object:
    """What the input itself says of a document."""
    if shard.endswith(".parquet"):
        return pq.read_table(inputs / shard).to_pylist()[position]["meta"]["lang"][0]["code"]
    return orjson.loads((inputs / shard).read_bytes()[position:].split(b"\n", 1)[0])["meta"]["language"]


def test_each_part_holds_the_documents_of_its_value_and_no_others(made: Path, deduplicated: Path, inputs: Path) -> None:
    wanted = {"github/python": "python", "github/c/c++": "c/c++", "github/(none)": None, "github/3": 3}
    for label, value in {**wanted, "wikipedia/en": "en"}.items():
        found = documents_of(made, deduplicated, "parts", label)
        assert {language_of(inputs, *one) for one in found} == {value}
        part = label.split("/")[0]
        (values,) = summary(made)["sources"][part]["columns"].values()
        (own,) = (one for one in values if one["value"] == label.partition("/")[2])
        assert len(found) == own["documents"]["global"] > 10, "all of them, as each comes more than once"
    plan = orjson.loads((made / "parts" / "manifest.json").read_bytes())["plan"]["sources"]
    assert {one["source"]: one["sequences"] for one in plan} == dict.fromkeys(PARTS, 400)
    assert slimpajama.verify(made, workers=1).findings == []
    assert slimpajama.status(made).finished
    assert not list(made.rglob("*etc*")), "a value is never a path"


def summary(out: Path) -> dict[str, Any]:
    return dict(orjson.loads((out / "tokens" / "summary.json").read_bytes()))


def test_the_summary_says_what_there_is(made: Path) -> None:
    github = summary(made)["sources"]["github"]
    values = github["columns"]["meta.language"]
    assert sorted(one["value"] for one in values) == sorted(
        ["python", "java", "c/c++", "../../etc", "(none)", "3", "(list)"]
    )
    for scope in ("global", "local"):
        assert sum(one["documents"][scope] for one in values) == github[scope]["documents"]["train"]
        assert sum(one["tokens"][scope] for one in values) == github[scope]["tokens"]["train"]
    assert orjson.loads((made / "tokens" / "store.json").read_bytes())["columns"] == {
        "github": ["meta.language"],
        "wikipedia": ["meta.lang.0.code"],
    }


def test_the_rest_is_what_no_other_part_names(made: Path, deduplicated: Path, inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(made, out)
    weights = {"github/python": 50, "github/java": 0, "github/(rest)": 50}
    rest = write_recipe(tmp_path / "recipes", "rest", weights=weights, split_by={"github": "language"})
    whole = write_recipe(tmp_path / "recipes", "whole", weights={"github": 100})
    before = (out / "tokens" / "store.json").read_bytes()
    result = mix(deduplicated, out, "--recipe", rest, "--recipe", whole)
    assert result.exit_code == 0, result.stderr
    assert (out / "tokens" / "store.json").read_bytes() == before, "a recipe without columns leaves them there"
    found = documents_of(out, deduplicated, "rest", "github/(rest)")
    assert Counter(str(language_of(inputs, *one)) for one in found).keys() == {
        "c/c++",
        "../../etc",
        "None",
        "3",
        "['python']",
    }
    assert slimpajama.verify(out, workers=1).findings == []
    lost = write_recipe(tmp_path / "recipes", "lost", weights={"github/pyton": 100}, split_by={"github": "language"})
    said = mix(deduplicated, out, "--recipe", lost).stderr
    assert "lost asks for 'github/pyton', but github has no part 'pyton'; its values of meta.language are " in said
    assert "write 'python' if you mean that" in said


def test_shards_that_were_never_written_and_more_workers_give_the_same(
    made: Path, inputs: Path, tmp_path: Path
) -> None:
    slimpajama.deduplicate(inputs, tmp_path / "dedup", workers=1, scope="none")
    recipe = write_recipe(tmp_path / "recipes", "parts", weights=PARTS, split_by=SPLIT)
    result = mix(tmp_path / "dedup", tmp_path / "out", "--recipe", recipe, "--workers", 2)
    assert result.exit_code == 0, result.stderr
    for name in ("tokens/store.json", "parts/manifest.json"):
        assert (tmp_path / "out" / name).read_bytes() == (made / name).read_bytes()


def test_a_whole_run_keeps_the_columns_of_its_recipes(inputs: Path, made: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "recipes", "parts", weights=PARTS, split_by=SPLIT)
    config = slimpajama.RunConfig.model_validate(
        {
            "input": str(inputs),
            "dedup": {"workers": 1},
            "tokens": {"holdout": 0.02},
            "mixtures": {"recipes": [str(recipe)]},
        }
    )
    slimpajama.run(config, tmp_path / "out")
    for name in ("tokens/store.json", "parts/manifest.json"):
        assert (tmp_path / "out" / "mixtures" / name).read_bytes() == (made / name).read_bytes()
    assert slimpajama.status(tmp_path / "out").finished


def test_verify_finds_values_that_are_not_those_of_the_rows(made: Path, tmp_path: Path) -> None:
    from slimpajama.verification.token_store import StoreCheck, check_whole_store

    shutil.copytree(made / "tokens", tmp_path / "tokens")
    assert check_whole_store(StoreCheck(tmp_path / "tokens")).findings == []
    said = summary(made)
    said["sources"]["github"]["columns"]["meta.language"][0]["value"] = "perl"
    (tmp_path / "tokens" / "summary.json").write_bytes(orjson.dumps(said))
    (finding,) = check_whole_store(StoreCheck(tmp_path / "tokens")).findings
    assert "says other values of meta.language in github than its rows" in finding


def test_a_store_without_the_column_says_what_remakes_it(made: Path) -> None:
    store = open_store(made / "tokens")
    with pytest.raises(
        ConfigError, match=r"keeps no meta.license of source 'github'; run slimpajama mix again with --"
    ):
        store.sizes("github", "train", Selection("global", where=Where("meta.license", ("mit",))))


def test_a_column_that_no_document_has_leaves_the_finished_store_as_it_is(
    made: Path, deduplicated: Path, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(made, out)
    weights = {"github/python": 50, "github/(rest)": 50}
    lost = write_recipe(tmp_path / "recipes", "lost", weights=weights, split_by={"github": "meta.languages"})
    result = mix(deduplicated, out, "--recipe", lost, "--dry-run")
    assert result.exit_code != 0
    assert (
        "lost asks for 'github/python', but github has no part 'python'; its values of meta.languages are (none): no "
        "document has this field; correct split_by"
    ) in " ".join(result.stderr.split())
    assert (out / "tokens" / "store.json").read_bytes() == (made / "tokens" / "store.json").read_bytes()
    assert slimpajama.verify(out, workers=1).findings == []
    again = mix(deduplicated, out, "--recipe", write_recipe(tmp_path / "r", "parts", weights=PARTS, split_by=SPLIT))
    assert again.exit_code == 0, again.stderr
    assert (out / "parts" / "manifest.json").read_bytes() == (made / "parts" / "manifest.json").read_bytes()
