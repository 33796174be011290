"""The page in a real browser: Chromium from the system, without a window. Skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from slimpajama.report.page import page_of
from tests.report.made_report import ATTACKS, made_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: pip install '.[dev]'")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="the page is not tested in a browser: no chromium here (apt-get install chromium)"
)

PAIRS = 30


@dataclass
class Opened:
    """A page in the browser, and what it said and asked for."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_bytes(page_of(made_report(hostile=True, pairs=PAIRS)).html)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Opened]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(60_000)
    found = Opened(context.new_page())
    found.page.on("console", lambda message: found.said.append(message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.goto(file.as_uri())
    yield found
    assert found.said == []
    assert found.asked == [file.as_uri()]
    context.close()


def attacked(page: Any) -> object:
    return page.evaluate("window.attacked === undefined ? 'nothing' : window.attacked")


def shown(page: Any) -> str:
    articles = page.locator("article.shown")
    assert articles.count() == 1
    return str(articles.get_attribute("id"))


def left(page: Any) -> int:
    return int(page.locator(".pairs li:not(.out)").count())


def test_texts_of_strangers_do_nothing(opened: Opened) -> None:
    page = opened.page
    for number in range(1, len(ATTACKS) + 1):
        page.locator(f'.pairs a[href="#pair-{number}"]').click()
        page.locator(f"#pair-{number} .text").first.click()
        page.locator(f"#pair-{number} .text").first.hover()
    assert attacked(page) == "nothing"
    assert page.evaluate("document.querySelectorAll('main img, main iframe, main script, main textarea').length") == 0
    assert page.title().startswith("The deduplication of redpajama</textarea></script>")
    assert "<script>window.attacked = 1</script>" in page.locator("#pair-1 .text").first.text_content()


def test_pairs_are_filtered_and_chosen_by_mouse(opened: Opened) -> None:
    page = opened.page
    assert (shown(page), left(page)) == ("pair-1", PAIRS)
    page.locator('.pairs a[href="#pair-5"]').click()
    assert shown(page) == "pair-5"
    page.locator("article.shown [data-step='1']").click()
    assert shown(page) == "pair-6"
    page.select_option("select[name=source]", "arxiv")
    assert (shown(page), left(page)) == ("pair-3", len(range(2, PAIRS, 7)))
    page.select_option("select[name=source]", "")
    page.fill("input[name=from]", "0.9")
    assert left(page) == sum(round(0.3 + 0.7 * number / (PAIRS - 1), 3) >= 0.9 for number in range(PAIRS))
    page.select_option("select[name=match]", "exact")
    assert (shown(page), left(page)) == (f"pair-{PAIRS}", 1)
    assert page.locator("output").text_content() == f"1 of {PAIRS} pairs"
    page.select_option("select[name=scope]", "local")
    assert left(page) == 0
    assert page.locator(".none").is_visible()
    page.fill("input[name=to]", "0.5")
    crossed = "no pair: the similarity goes from 0.9 down to 0.5; exchange the two"
    assert page.locator("output").text_content() == crossed
    page.locator("button[type=reset]").click()
    page.wait_for_function("document.querySelectorAll('.pairs li.out').length === 0")
    assert (shown(page), left(page)) == ("pair-1", PAIRS)
    page.fill("input[name=size]", "50")
    assert left(page) == sum(2 + number * number % 97 >= 50 for number in range(PAIRS))


def test_pairs_are_filtered_and_chosen_by_keyboard(opened: Opened) -> None:
    page = opened.page
    page.locator("select[name=source]").focus()
    for name in ("survivor", "match", "scope", "from", "to", "size"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.name") == name
    page.keyboard.type("0")  # 2 becomes 20
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Show all
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.hash") == "#pair-1"
    for key, pair in (("ArrowDown", 2), ("j", 3), ("j", 4), ("k", 3), ("ArrowUp", 2), ("End", PAIRS), ("Home", 1)):
        page.keyboard.press(key)
        assert (shown(page), page.evaluate("document.activeElement.hash")) == (f"pair-{pair}", f"#pair-{pair}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.step") == "1"
    page.keyboard.press("Enter")
    assert shown(page) == "pair-2"
    page.keyboard.press("Tab")
    assert "text" in page.evaluate("document.activeElement.className")


def test_nothing_is_wider_than_a_phone(opened: Opened) -> None:
    page = opened.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.evaluate("window.scrollTo(500, 0)")
    assert page.evaluate("window.scrollX") == 0


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(opened: Opened, scheme: str) -> None:
    spec = find_spec("axe_core_python")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("axe-core-python is not installed: pip install '.[dev]'")
    page = opened.page
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    (axe,) = Path(spec.submodule_search_locations[0]).rglob("axe.min.js")
    page.evaluate(axe.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [
        (one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["any"][:1])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    opened.said.clear()  # axe itself may talk


@pytest.mark.slow
def test_a_print_has_every_section_and_every_pair(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    headings = [text.strip() for text in page.locator("h2").all_text_contents()]
    page.pdf(path=str(tmp_path / "page.pdf"), format="A4", print_background=True)
    pages = [one.extract_text() for one in pypdf.PdfReader(tmp_path / "page.pdf").pages]
    text = " ".join(" ".join(pages).split())
    assert len(headings) == 9
    assert [heading for heading in headings if heading not in text] == []
    assert [number for number in range(1, PAIRS + 1) if f"Pair {number}: " not in text] == []
    assert "Kullback-Leibler" in text
    assert "lowest similarity" in text  # a column of a table that is closed on the screen


def test_without_scripts_everything_is_shown(browser: Any, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator("article:visible").count() == PAIRS
    assert page.locator("form:visible").count() == 0
    context.close()
