"""Pages that state facts about the code agree with it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from slimpajama.config.decontaminate import KNOWN_FIELDS
from slimpajama.config.dedup import REDPAJAMA_SET_NAMES, load_config
from slimpajama.config.run import load_run_config
from slimpajama.dedup.banding import catch_probability

ROOT = Path(__file__).parents[1]


def renderer(page: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"render_{page}", ROOT / "docs" / f"render_{page}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["settings", "cli", "api"])
def test_a_rendered_page_is_what_the_code_says(page: str) -> None:
    current = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert current == renderer(page).rendered(), f"run python docs/render_{page}.py"


def test_the_schemas_of_the_summaries_are_what_the_code_says() -> None:
    shipped = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "schemas").iterdir()}
    assert shipped == renderer("api").schemas(), "run python docs/render_api.py"


def test_the_page_on_decontamination_names_the_fields_of_all_known_sets() -> None:
    page = (ROOT / "docs" / "decontamination.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+)` \| (`\w+`(?:, `\w+`)*) \|$", page, re.MULTILINE)
    assert {name: tuple(re.findall(r"\w+", fields)) for name, fields in named} == KNOWN_FIELDS


def test_the_catch_table_is_the_formula() -> None:
    page = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    header, linked = (
        re.findall(r"[\d.]+", line) for line in page.splitlines() if line.startswith(("| s |", "| linked |"))
    )
    assert linked == [f"{100 * catch_probability(float(similarity), 9, 13):.1f}" for similarity in header]


def test_the_shipped_configs_are_valid() -> None:
    assert (
        load_run_config(ROOT / "configs" / "redpajama.yaml", input="in").tokens.tokenizer == "EleutherAI/gpt-neox-20b"
    )
    published = load_config(ROOT / "configs" / "redpajama.yaml")
    assert [source.name for source in published.sources] == list(REDPAJAMA_SET_NAMES)
    assert (published.bands, published.rows, published.num_perm) == (9, 13, 128)
    assert load_config(ROOT / "configs" / "sample.yaml").memory == 512 << 20


def test_every_relative_link_and_path_in_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"`((?:docs|configs|scripts)/[\w./-]+)`", readme):
        assert (ROOT / path).exists(), path


def test_every_page_is_in_the_menu_and_every_link_between_pages_leads_somewhere() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert {path for entry in menu for path in entry.values()} == pages
    for page in pages:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([\w./-]+\.md)", text):
            assert (ROOT / "docs" / target).exists(), (page, target)


def test_every_test_that_the_table_of_attacks_names_exists() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?` \|$", page, re.MULTILINE)
    assert len(named) > 20
    for path, name in named:
        assert (ROOT / path).is_file(), path
        assert f"def {name}" in (ROOT / path).read_text(encoding="utf-8"), (path, name)
