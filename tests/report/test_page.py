"""The page as text: what it holds, what it cannot do, and how large it becomes."""

from __future__ import annotations

import base64
import hashlib
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import msgspec
import pytest

from slimpajama.report.data_files import as_csv, as_json, tables, whole_json
from slimpajama.report.figures.deduplication import ScopeAmounts
from slimpajama.report.figures.whole import Report
from slimpajama.report.leads import glance_lead
from slimpajama.report.page import Page, page_of
from tests.report.made_report import ATTACKS, empty_report, made_report

HEADINGS = (
    "At a glance",
    "Sources",
    "Overlap",
    "Clusters",
    "Evidence",
    "LSH curve",
    "Tokens",
    "Mixtures",
    "Time",
)


class Elements(HTMLParser):
    """The elements of a page, their attributes, and the text of those that matter."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self._in_heading = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._in_heading = tag == "h2"

    def handle_endtag(self, tag: str) -> None:
        self._in_heading = False

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self.headings.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def hostile() -> Page:
    return page_of(made_report(hostile=True, pairs=len(ATTACKS)))


def test_every_section_has_its_heading(hostile: Page) -> None:
    assert tuple(Elements(hostile.html.decode()).headings) == HEADINGS


def test_texts_make_no_element_and_no_handler(hostile: Page) -> None:
    elements = Elements(hostile.html.decode())
    assert len(elements.all("script")) == 1
    assert not elements.all("img") + elements.all("iframe") + elements.all("object") + elements.all("embed")
    names = {name for _, attributes in elements.found for name in attributes}
    assert [name for name in names if name.startswith("on")] == []
    targets = [attributes.get("href") or "" for attributes in elements.all("a")]
    assert [target for target in targets if not re.match(r"#[\w-]+$|(data|figures)/[\w.-]+$", target)] == []


def test_what_cannot_be_seen_is_shown_as_code_points(hostile: Page) -> None:
    html = hostile.html.decode()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u2060\ufeff\x00-\x08\x0b-\x1f\x7f-\x9f]", html)
    for point in ("U+202E", "U+200B", "U+FEFF", "U+001B", "U+0000", "U+D800", "U+2028"):
        assert f'<span class="cp">{point}</span>' in html


def test_templates_are_not_run_on_texts(hostile: Page) -> None:
    assert "{{ 7 * 7 }}{% for x in y %}" in hostile.html.decode()


def test_the_policy_allows_the_one_script_alone_and_no_request(hostile: Page) -> None:
    html = hostile.html.decode()
    script = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    (policy,) = [a["content"] for a in Elements(html).all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    assert "unsafe-inline'; img-src data:" in policy


def test_ids_are_unique_and_references_lead_somewhere(hostile: Page) -> None:
    html = hostile.html.decode()
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:xlink:href="#|url\(#|href="#)([^")]+)', html)
    assert set(used) <= set(ids)


def test_every_figure_is_a_sound_file_with_a_title_and_words(hostile: Page) -> None:
    for drawing in hostile.drawings.values():
        root = ElementTree.fromstring(drawing.file)  # noqa: S314 - ours
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        title, words = (root.find(f"{{http://www.w3.org/2000/svg}}{name}") for name in ("title", "desc"))
        assert title is not None
        assert title.text
        assert words is not None
        assert words.text
        assert "var(--" not in drawing.file
        assert "<script" not in drawing.file


def test_the_same_report_gives_the_same_bytes(hostile: Page) -> None:
    again = page_of(made_report(hostile=True, pairs=len(ATTACKS)))
    assert again.html == hostile.html
    assert again.drawings == hostile.drawings


def test_a_report_without_any_section_says_why() -> None:
    html = page_of(empty_report()).html.decode()
    assert tuple(Elements(html).headings) == HEADINGS
    assert html.count("as the input is gone") == len(HEADINGS)


@pytest.mark.slow
def test_many_sources_and_mixtures_and_the_longest_texts_fit() -> None:
    report = made_report(sources=300, mixtures=64, pairs=150, hostile=True)
    assert report.evidence is not None
    boxes = msgspec.structs.replace(report.evidence.pairs[0].document[0], text="\u202e" * 4000)
    pairs = [msgspec.structs.replace(pair, document=(boxes,), survivor=(boxes,)) for pair in report.evidence.pairs]
    evidence = msgspec.structs.replace(report.evidence, pairs=tuple(pairs))
    assert len(page_of(msgspec.structs.replace(report, evidence=evidence)).html) < 5_000_000


def test_the_tables_hold_all_that_the_page_cuts() -> None:
    found = tables(made_report(sources=40))
    assert len(found["sources"].rows) == 41
    assert len(found["divergence"].rows) == 6 * 40 * 40
    header, first, *_ = as_csv(found["stages"]).decode().splitlines()
    assert header == "part,stage,seconds,tasks,reused,mb_per_second"
    assert first == "dedup,sketch,12.5,20,0,61.5"
    assert msgspec.json.decode(as_json(found["stages"]))[1]["stage"] == "exact"


def test_compiling_is_told_beside_the_stages() -> None:
    report = made_report(pairs=1)
    assert report.time is not None
    html = page_of(report).html.decode()
    assert "Compiling kernels took 3.1 s besides." in html
    assert "a part was there already" in html
    stages = tuple(msgspec.structs.replace(one, reused=0) for one in report.time.stages)
    new = msgspec.structs.replace(report, time=msgspec.structs.replace(report.time, stages=stages))
    assert "42 MB/s of text deduplicated, without compiling" in page_of(new).html.decode()


def test_what_is_told_of_no_and_of_single_documents() -> None:
    glance = made_report(pairs=1).glance
    assert glance is not None
    none = ScopeAmounts(
        kept_documents=1, kept_bytes=580, exact_documents=0, exact_bytes=0, near_documents=0, near_bytes=0
    )
    one = msgspec.structs.replace(glance, read_documents=1, read_bytes=580, global_=none, local=none)
    assert glance_lead(one) == "Of 1 document (580 bytes), none was removed as a duplicate."
    some = msgspec.structs.replace(none, near_documents=1)
    assert glance_lead(msgspec.structs.replace(one, read_documents=2, global_=some)) == (
        "Of 2 documents (580 bytes), 1 was removed as a duplicate across all sources, none within their own source."
    )


def test_where_nothing_overlaps_there_are_no_maps() -> None:
    report = made_report(pairs=1)
    assert report.overlap is not None
    nothing = tuple(tuple(0 for _ in row) for row in report.overlap.shared_documents)
    empty = msgspec.structs.replace(
        report.overlap,
        removed_documents=nothing,
        removed_bytes=nothing,
        shared_documents=nothing,
        shared_bytes=nothing,
    )
    page = page_of(msgspec.structs.replace(report, overlap=empty))
    assert "shared-bytes" not in page.drawings
    assert "No document was removed in favour of another one." in page.html.decode()


def test_the_whole_report_is_read_back() -> None:
    report = made_report(pairs=3)
    assert (msgspec.json.decode(whole_json(report), type=Report) == report) is True
    assert msgspec.json.decode(whole_json(made_report(hostile=True, pairs=len(ATTACKS))), type=Report).evidence
