"""The whole run at a glance: what came in, what stayed, how fast, by which settings and versions. Costs nothing."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.report.figures.deduplication import Glance, Setting
from slimpajama.report.opened_output import OpenedDedup, OpenedOutput
from slimpajama.report.sections.commands import command_words, flat_settings, value_text
from slimpajama.report.sections.sources import amounts
from slimpajama.storage.paths import status_of

__all__ = ["glance"]


def glance(output: OpenedOutput, dedup: OpenedDedup) -> Glance:
    """The figures of the deduplication ``dedup`` of ``output``, with the time of everything."""
    summary, total = dedup.summary, dedup.summary.total
    return Glance(
        input=_input(output, dedup),
        output=str(output.root),
        command=_commands(output, dedup),
        finished=_finished(dedup.evidence.layout.summary),
        read_documents=total.read.documents,
        read_bytes=total.read.bytes,
        short_documents=total.short.documents,
        short_bytes=total.short.bytes,
        bad_records=total.bad.documents,
        bad_bytes=total.bad.bytes,
        contaminated_documents=total.contaminated.documents,
        contaminated_bytes=total.contaminated.bytes,
        global_=amounts(total.global_),
        local=amounts(total.local),
        seconds=output.whole.seconds if output.whole else summary.seconds,
        mb_per_second=summary.mb_per_second,
        peak_memory_bytes=output.whole.peak_memory_bytes if output.whole else summary.peak_memory_bytes,
        settings=_settings(dedup),
        versions=tuple(Setting(name=name, value=value, standard=True) for name, value in summary.versions.items()),
    )


def _commands(output: OpenedOutput, dedup: OpenedDedup) -> str:
    commands = [command_words(output.request, output.root)]
    if output.request is not dedup.request and output.whole is None:  # mixtures of a deduplication elsewhere
        commands.insert(0, command_words(dedup.request, dedup.root))
    return "\n".join(dict.fromkeys(commands))


def _input(output: OpenedOutput, dedup: OpenedDedup) -> str:
    """What was deduplicated; of mixtures of a deduplication elsewhere, that one, too."""
    if output.mixtures is None or output.whole is not None:
        return dedup.summary.input
    return f"{dedup.summary.input} (mixtures: {dedup.root})"


def _finished(summary: Path) -> str:
    """When the summary was written, in UTC; empty where the store does not say."""
    seconds = status_of(summary).modified_ns // 1_000_000_000
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _settings(dedup: OpenedDedup) -> tuple[Setting, ...]:
    """All settings as the run used them. Standard is what holds where nothing is given."""
    used = flat_settings(dedup.summary.settings.model_dump(mode="json"))
    asked = flat_settings(dedup.request.settings)
    usual = flat_settings(Config().model_dump(mode="json"))
    return tuple(
        Setting(name=name, value=value_text(value), standard=asked.get(name) == usual.get(name))
        for name, value in used.items()
    )
