"""Reports with made-up figures: as large as asked for, and with texts and names that attack the page."""

from __future__ import annotations

import math
import random

from slimpajama.report.figures.deduplication import (
    Alarm,
    ClusterSection,
    CurvePoint,
    EvidencePair,
    EvidenceSection,
    Glance,
    LargeClusterRow,
    LshSection,
    OverlapSection,
    ScopeAmounts,
    ScopeRow,
    Setting,
    SimilarityBin,
    SizeBin,
    Snippet,
    SourceRow,
    SourceSection,
)
from slimpajama.report.figures.mixtures import (
    HeldOut,
    LengthBin,
    MixtureRow,
    MixtureSection,
    MixtureSourceRow,
    SourceTokens,
    TokenSection,
    TokenSubset,
)
from slimpajama.report.figures.whole import Report, StageRow, TimeSection

__all__ = ["ATTACKS", "SOURCES", "empty_report", "made_report"]

SOURCES = ("wikipedia", "books", "arxiv", "stackexchange", "github", "c4", "common_crawl")
PUBLISHED = {
    "common_crawl": (63.76, 0.02),
    "c4": (6.85, 4.7),
    "github": (46.16, 0.0),
    "books": (2.01, 0.0),
    "arxiv": (0.06, 0.62),
    "wikipedia": (2.24, 0.0),
    "stackexchange": (0.2, 0.32),
}

ATTACKS = (
    "<script>window.attacked = 1</script>",
    "</textarea></script></template></style></title><img src=x onerror=window.attacked=2>",
    '<a href="javascript:window.attacked=3" onmouseover="window.attacked=4">click</a>',
    '"><svg onload=window.attacked=5>',
    "{{ 7 * 7 }}{% for x in y %}",
    "user\u202egnp.exe\u202c and zero\u200bwidth\u2060\ufeff",
    "\x1b[31mred\x1b[0m \x00\x07 bell",
    "<!--<script>-->]]>&amp;&#x3c;b&gt;",
    "W" * 20_000,
    "\ud800 alone",
    "Z\u0351\u036b\u0343\u036a\u0302a\u0328l\u034fgo " * 40,
    "  leading\n\ttabs\r\nand    spaces",
    "\u2028line\u2029paragraph $x^2$ \\(y\\) 😀",
    "عربي نص من اليمين 中文文本",
)


def _amounts(share: float, documents: int, size: int) -> ScopeAmounts:
    exact, near = int(documents * share / 3), int(documents * share * 2 / 3)
    return ScopeAmounts(
        kept_documents=documents - exact - near,
        kept_bytes=size - int(size * share / 3) - int(size * share * 2 / 3),
        exact_documents=exact,
        exact_bytes=int(size * share / 3),
        near_documents=near,
        near_bytes=int(size * share * 2 / 3),
    )


def _scope(amounts: ScopeAmounts, short: int, size: int, stays: int) -> ScopeRow:
    removed = amounts.exact_bytes + amounts.near_bytes
    return ScopeRow(
        kept_documents=amounts.kept_documents,
        kept_bytes=amounts.kept_bytes,
        exact_documents=amounts.exact_documents,
        exact_bytes=amounts.exact_bytes,
        near_documents=amounts.near_documents,
        near_bytes=amounts.near_bytes,
        byte_rate=100 * (short + removed) / size if size else 0.0,
        share=100 * amounts.kept_bytes / stays if stays else 0.0,
    )


def _source(name: str, number: int, total: bool = False) -> SourceRow:
    documents, size = (5_000, 21_000_000) if total else (700 - 60 * (number % 9), 3_000_000 >> (number % 7))
    share = 0.3 if total else (0.04, 0.1, 0.02, 0.2, 0.46, 0.3, 0.6)[number % 7]
    short = size // 100
    wide, narrow = _amounts(share, documents, size - short), _amounts(share * 0.7, documents, size - short)
    published = PUBLISHED.get(name)
    return SourceRow(
        source=name,
        read_documents=documents,
        read_bytes=size,
        read_share=100.0 * size / 21_000_000,
        short_documents=3,
        short_bytes=short,
        short_rate=1.0,
        bad_records=number % 3,
        contaminated_documents=0,
        global_=_scope(wide, short, size, 14_000_000),
        local=_scope(narrow, short, size, 15_000_000),
        published_byte_rate=published[0] if published else None,
        published_short_rate=published[1] if published else None,
    )


def _names(count: int, hostile: bool) -> tuple[str, ...]:
    names = [SOURCES[n] if n < len(SOURCES) else f"crawl of site number {n}" for n in range(count)]
    if hostile and count > 1:
        names[1] = "<b onclick=window.attacked=6>b</b>\u202e$x_1$"
    return tuple(names)


def _snippets(random_: random.Random, text: str) -> tuple[Snippet, ...]:
    words = [
        "the",
        "quick",
        "brown",
        "fox",
        "jumps",
        "over",
        "the",
        "lazy",
        "dog",
        "while",
        "seven",
        "wizards",
        "mix",
        "jars",
        "of",
        "liquid",
    ]
    some = " ".join(random_.choices(words, k=60))
    return (
        Snippet(kind="same", text=some + "\n\n", characters=len(some) + 2),
        Snippet(kind="differs", text=text, characters=len(text)),
        Snippet(kind="same", text=" " + some[:200], characters=201),
        Snippet(kind="left_out", text="", characters=12_345),
        Snippet(kind="same", text=some[-100:], characters=100),
    )


def _pairs(sources: tuple[str, ...], count: int, hostile: bool, random_: random.Random) -> tuple[EvidencePair, ...]:
    pairs = []
    for number in range(count):
        texts = ("a word that differs", "another word")
        if hostile:
            texts = (ATTACKS[number % len(ATTACKS)][:4000], ATTACKS[(number + 5) % len(ATTACKS)][:4000])
        source = sources[number % len(sources)]
        other = sources[(number * number) % len(sources)]
        similarity = round(min(1.0, 0.3 + 0.7 * number / max(count - 1, 1)), 3)
        pairs.append(
            EvidencePair(
                scope="local" if number % 4 == 3 else "global",
                match="exact" if similarity == 1 else "near",
                id=f"0x{number:011x}",
                source=source,
                path=f"{source}/shard-{number}.jsonl.zst",
                place=f"byte {1000 * number:,}",
                survivor_id=f"0x{number * 7:011x}",
                survivor_source=other,
                survivor_path=f"{other}/<i>shard</i>-{number}.jsonl",
                survivor_place=f"row {number:,}",
                jaccard=similarity,
                shared_in_document=min(1.0, similarity + 0.05),
                shared_in_survivor=similarity,
                bands=number % 10,
                cluster_documents=2 + number * number % 97,
                document=_snippets(random_, texts[0]),
                survivor=_snippets(random_, texts[1]),
            )
        )
    return tuple(pairs)


def _square(count: int, random_: random.Random, most: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(random_.randrange(most) // (1 if i == j else 4) for j in range(count)) for i in range(count))


def _divergences(count: int, random_: random.Random, scale: float) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(0.0 if i == j else scale * (0.2 + random_.random()) for j in range(count)) for i in range(count))


def _clusters(sources: tuple[str, ...], hostile: bool) -> ClusterSection:
    sizes = [
        SizeBin(scope=scope, least=2**n + 1, most=2 ** (n + 1), clusters=4096 >> (n + local), documents=9_000 >> n)
        for local, scope in enumerate(("global", "local"))
        for n in range(9)
    ]
    largest = [
        LargeClusterRow(
            cluster=1 << (40 + n),
            documents=900 // (n + 1),
            sources=sources[: 1 + n % 3],
            beginning=ATTACKS[n % len(ATTACKS)][:160]
            if hostile
            else "Copyright notice of all pages of this site, 2011",
            lowest=0.4 + n / 40,
            median=0.9 if n != 3 else None,
            path=f"c4/en_{n}.jsonl",
            position=n * 1234,
        )
        for n in range(10)
    ]
    alarms = (
        Alarm(
            severity="serious",
            what="The largest cluster holds 900 documents, and 31 of 40 sampled members share less than a fifth of "
            "their text with the one that stays.",
            remedy="Use --preset verified, which checks each removal, or raise rows.",
        ),
        Alarm(
            severity="look",
            what="github loses 46.0 % of its bytes.",
            remedy="Look at its pairs below; if they are right, there is nothing to change.",
        ),
    )
    return ClusterSection(
        clusters=2301,
        linked_documents=6500,
        sizes=tuple(sizes),
        largest=tuple(largest),
        similarities=tuple(
            SimilarityBin(least=n / 50, below=(n + 1) / 50, removals=int(3000 * math.exp((n - 50) / 5)))
            for n in range(50)
        ),
        compared=1400,
        all_compared=False,
        seed=0,
        threshold=0.8,
        below_threshold=212,
        alarms=alarms,
    )


def _lsh() -> LshSection:
    def caught(similarity: float) -> float:
        return 1 - (1 - similarity**13) ** 9

    measured = [
        CurvePoint(
            similarity=0.05 + n / 10,
            caught=caught(0.05 + n / 10),
            pairs=40 * (n + 1),
            low=max(0.0, caught(0.05 + n / 10) - 0.08),
            high=min(1.0, caught(0.05 + n / 10) + 0.08),
        )
        for n in range(10)
    ]
    curve = [CurvePoint(similarity=n / 100, caught=caught(n / 100), pairs=0, low=0, high=0) for n in range(101)]
    return LshSection(
        bands=9, rows=13, threshold=0.8, half_point=0.816, seeds=20, curve=tuple(curve), measured=tuple(measured)
    )


def _tokens(sources: tuple[str, ...], random_: random.Random) -> TokenSection:
    titles = (
        "all tokens",
        "letters",
        "most frequent 1,000",
        "numbers and operators",
        "white space",
        "not alphanumeric",
    )
    names = ("all", "letters", "frequent", "numbers", "space", "other")
    return TokenSection(
        vocabulary=50_257,
        tokenizer="byte-level BPE trained on the corpus",
        sources=tuple(
            SourceTokens(
                source=name,
                global_tokens=300_000 // (n + 1),
                global_documents=700 // (n + 1),
                local_tokens=360_000 // (n + 1),
                local_documents=800 // (n + 1),
                bytes_per_token=3.2 + n % 5 / 5,
            )
            for n, name in enumerate(sources)
        ),
        lengths=tuple(
            LengthBin(
                source=name,
                least=2**k,
                most=2 ** (k + 1) - 1,
                documents=int(400 * math.exp(-((k - 8 - n % 5) ** 2) / 3)),
                tokens=2**k * 10,
            )
            for n, name in enumerate(sources)
            for k in range(4, 17)
        ),
        smoothing=0.01,
        counted_tokens=1_400_000,
        compared=sources,
        subsets=tuple(
            TokenSubset(
                name=name,
                title=title,
                types=50_257 // (n + 1),
                kl=_divergences(len(sources), random_, 2.0 / (n + 1)),
                js=_divergences(len(sources), random_, 0.5 / (n + 1)),
                shares=tuple(1.0 / (n + 1) for _ in sources),
                floor=tuple(0.01 if number else None for number in range(len(sources))),
            )
            for n, (name, title) in enumerate(zip(names, titles, strict=True))
        ),
    )


def _mixtures(sources: tuple[str, ...], count: int) -> MixtureSection:
    rows = []
    for number in range(count):
        chosen = [(name, 1 + (n * (number + 1)) % 5) for n, name in enumerate(sources) if (n + number) % 6 or not n]
        whole = sum(weight for _, weight in chosen)
        rows.append(
            MixtureRow(
                name=f"dc-{number + 1}",
                title="RefinedWeb-like, and more" if number else "CommonCrawl only",
                scope="global" if number % 2 else "local",
                sequences=500,
                sequence_length=2049,
                tokens=1_024_500,
                documents=900,
                cut_documents=300 + number,
                padding=17 * number,
                packing="best-fit" if number % 2 else "concat",
                formats=("parquet",),
                sources=tuple(
                    MixtureSourceRow(
                        source=name,
                        asked=100.0 * weight / whole,
                        got=100.0 * weight / whole + (0.01 if n == 1 else 0),
                        tokens=1_024_500 * weight // whole,
                        available=300_000 // (n + 1),
                        epochs=weight / whole * 3 * (n + 1),
                        unused=max(0, 10_000 - 1000 * n),
                    )
                    for n, (name, weight) in enumerate(chosen)
                ),
                repeats=(("1", 500_000), ("2-3", 200_000), ("4-10", 90_000)) if number == 1 else (),
                warnings=("books is repeated 6.1 times",) if number == 2 else (),
            )
        )
    holdout = tuple(
        HeldOut(
            source=name,
            validation_documents=12,
            validation_tokens=13_261,
            test_documents=11,
            test_tokens=12_989,
            near_held_out_documents=3,
            excluded_documents=1,
        )
        for name in sources
    )
    return MixtureSection(mixtures=tuple(rows), holdout=holdout)


def _time() -> TimeSection:
    stages = [
        ("dedup", name, seconds, 20 + n, 3 if name == "decide" else 0, 61.5 / (n + 1) if n < 3 else None)
        for n, (name, seconds) in enumerate(
            (("sketch", 12.5), ("exact", 0.4), ("link", 0.7), ("cluster", 0.3), ("decide", 1.9), ("write", 6.2))
        )
    ]
    stages += [("mix", name, seconds, 7, 0, None) for name, seconds in (("tokenizer", 2.2), ("tokenise", 5.1))]
    rows = [
        StageRow(part=part, stage=stage, seconds=seconds, tasks=tasks, reused=reused, mb_per_second=rate)
        for part, stage, seconds, tasks, reused, rate in stages
    ]
    return TimeSection(stages=tuple(rows), seconds=31.4, compile_seconds=3.1, peak_memory_bytes=700 << 20, workers=2)


def made_report(*, sources: int = 7, mixtures: int = 6, pairs: int = 30, hostile: bool = False) -> Report:
    """A report with every section."""
    random_ = random.Random(1)
    names = _names(sources, hostile)
    rows = tuple(_source(name, number) for number, name in enumerate(names))
    total = _source("total", 0, total=True)
    glance = Glance(
        input="/data/redpajama" + (ATTACKS[3] if hostile else ""),
        output="/data/slimpajama",
        command="slimpajama dedup --input /data/redpajama --output /data/slimpajama --set seed=2",
        finished="2026-03-01 12:30 UTC",
        read_documents=5_000,
        read_bytes=21_000_000,
        short_documents=21,
        short_bytes=210_000,
        bad_records=3,
        bad_bytes=300,
        contaminated_documents=0,
        contaminated_bytes=0,
        global_=_amounts(0.3, 4_976, 20_789_700),
        local=_amounts(0.22, 4_976, 20_789_700),
        seconds=31.4,
        mb_per_second=42.5,
        peak_memory_bytes=700 << 20,
        settings=(
            Setting(name="seed", value="2", standard=False),
            Setting(name="bands", value="9", standard=True),
            Setting(name="rows", value="13", standard=True),
        ),
        versions=(Setting(name="slimpajama", value="0.1.0", standard=True),),
    )
    return Report(
        title="The deduplication of redpajama" + (ATTACKS[1] if hostile else ""),
        made="2026-03-01 12:30 UTC",
        glance=glance,
        sources=SourceSection(rows=rows, total=total, settings_differ="seed is 2, not 1" if hostile else ""),
        overlap=OverlapSection(
            sources=names,
            survivors=names,
            removed_documents=_square(sources, random_, 200),
            removed_bytes=_square(sources, random_, 900_000),
            shared_documents=_square(sources, random_, 300),
            shared_bytes=_square(sources, random_, 1_200_000),
            read_documents=tuple(row.read_documents for row in rows),
            read_bytes=tuple(3_000_000 for _ in rows),
        ),
        clusters=_clusters(names, hostile),
        evidence=EvidenceSection(
            seed=0, removals=1_500, most_characters=4_000, pairs=_pairs(names, pairs, hostile, random_)
        ),
        lsh=_lsh(),
        tokens=_tokens(names, random_),
        mixtures=_mixtures(names, mixtures),
        time=_time(),
    )


def empty_report() -> Report:
    """A report of which no section could be made."""
    sections = ("glance", "sources", "overlap", "clusters", "evidence", "lsh", "tokens", "mixtures", "time")
    missing = {name: f"the {name} cannot be shown, as the input is gone" for name in sections}
    return Report(title="An empty output", made="", missing=missing)
