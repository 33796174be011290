"""The measurements of caches as tables of Markdown."""

from __future__ import annotations

from slimpajama.report.figures.kvcache import CacheResults, mean_and_spread
from slimpajama.report.sections.caches import noise_rows
from slimpajama.study.kvcache.measuring import EVICTING
from slimpajama.text_table import markdown_table


def cell(values: list[float], digits: int = 3) -> str:
    """Mean ± spread over seeds."""
    mean, spread = mean_and_spread(values)
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"


def tables(results: CacheResults) -> list[str]:
    """All tables, as lines of Markdown."""
    lines = [f"Machine: {results.machine}. Models: {results.models}.", ""]
    for task in dict.fromkeys(point.task for point in results.quality):
        points = [point for point in results.quality if point.task == task]
        shares = sorted({point.share for point in points})
        full = [point.full_loss for point in points if (point.share, point.method) == (points[0].share, EVICTING[0])]
        lines += [
            f"**{task}**: loss above full attention ({cell(full)} nats a token), and % of the same next token.",
            "",
        ]
        rows = [["cache", *EVICTING]]
        for share in shares:
            row = [f"{share:.0%}"]
            for method in EVICTING:
                seeds = [point for point in points if (point.share, point.method) == (share, method)]
                if not seeds:
                    row.append("")
                    continue
                lost = cell([point.loss - point.full_loss for point in seeds])
                row.append(f"{lost} ({100 * mean_and_spread([point.same_token for point in seeds])[0]:.1f} %)")
            rows.append(row)
        lines += [*markdown_table(rows), ""]
    if results.noise:
        lines += ["**Noise of Keyformer**: loss above full attention. A constant cannot change a softmax.", ""]
        rows = noise_rows(results.noise)
        lines += [*markdown_table(rows), ""]
    if results.speed:
        lines += [f"**Speed and memory**, rows: {results.speed[0].rows}, on {results.speed[0].device}.", ""]
        rows = [["prompt", "method", "tokens a second", "of full", "prompt, s", "cache, MiB", "of full"]]
        for point in results.speed:
            whole = [one for one in results.speed if (one.context, one.method) == (point.context, "full")]
            rows.append(
                [
                    f"{point.context:,}",
                    point.method if point.method == "full" else f"{point.method} {point.share:.0%}",
                    f"{point.tokens_a_second:,.1f}",
                    f"{point.tokens_a_second / whole[0].tokens_a_second:.2f}" if whole else "",
                    "" if point.prompt_seconds is None else f"{point.prompt_seconds:.2f}",
                    f"{point.cache_bytes / 2**20:.1f}",
                    f"{point.cache_bytes / whole[0].cache_bytes:.2f}" if whole else "",
                ]
            )
        lines += [*markdown_table(rows), ""]
    return lines
