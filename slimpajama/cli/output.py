"""What the commands print at the end of their work: what was done, and where the results lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slimpajama.dedup.files.layout import DedupLayout, scopes_written
from slimpajama.dedup.summary import DedupSummary, StageFigures
from slimpajama.printable import printable
from slimpajama.stages.runner import step_of

if TYPE_CHECKING:
    from slimpajama.pipeline.mix import Mixtures

__all__ = ["closing_lines", "mixture_lines"]

MOST_TABLES = 12
"""Mixtures of which each plan is printed as a table; of more, each is a row."""

LARGE_BYTES = 10_000_000
"""Text below which no speed is printed: it would be that of starting up."""


def _time_and_reuse(stages: Sequence[StageFigures]) -> str:
    reused, items = (sum(getattr(stage, name) for stage in stages) for name in ("reused", "items"))
    seconds = sum(stage.seconds for stage in stages)
    return f"{seconds:.1f} s" + (f" ({reused} of {items} reused)" if reused else "")


def closing_lines(summary: DedupSummary, output: Path) -> str:
    """What the run did, where it ignored or quarantined something, and where to look."""
    layout = DedupLayout(output)
    lines = [""]
    steps: dict[str, list[StageFigures]] = {}
    for label, stage in summary.stages.items():
        steps.setdefault(step_of(label), []).append(stage)
    stages = ", ".join(f"{name} {_time_and_reuse(figures)}" for name, figures in steps.items())
    large = summary.total.read.bytes >= LARGE_BYTES
    speed = f", {summary.mb_per_second:.3g} MB/s" if summary.mb_per_second and large else ""
    compiled = summary.compile_seconds
    lines.append(
        f"{summary.seconds:.1f} s on {summary.settings.workers} worker(s){speed}: {stages}"
        + (f"; kernels compiled in {compiled:.0f} s, once" if compiled >= 0.5 else "")
    )
    lines.append(f"peak memory: {summary.peak_memory_bytes / 2**20:,.0f} MiB")
    ignored = summary.shards.ignored
    if ignored:
        lines.append(f"not read: {len(ignored)} file(s) or folder(s), e.g. {printable(ignored[0])}")
    held_out = summary.shards.held_out
    if held_out:
        counts = " and ".join(f"{count:,} shard(s) of {split}" for split, count in held_out.items())
        lines.append(f"the input comes with a split, which mixtures take: {counts}")
    if summary.total.bad.documents:
        lines.append(f"bad records: {output / 'quarantine'}")
    if summary.decontamination is not None:
        lines.append(f"documents that hold evaluation items: {layout.matches}")
    shards = " and ".join(str(output / name) for name in scopes_written(summary.settings.scope))
    lines.append(
        f"shards: {shards or 'none, as asked for'}\ndecisions: {output / 'decisions'}\nsummary: {layout.summary}"
    )
    return "\n".join(printable(line, keep="\n") for line in lines)


def mixture_lines(made: Mixtures, output: Path) -> str:
    """The token store in a line, then the plan of each recipe and where its mixture lies."""
    from slimpajama.mixture.layout import HOLDOUT_FOLDER
    from slimpajama.mixture.parts import values_text
    from slimpajama.mixture.plan_text import phase_table, plan_table, swarm_table
    from slimpajama.mixture.ratios import RATIOS_FILE
    from slimpajama.text_table import aligned
    from slimpajama.tokens.layout import TOKENS_FOLDER

    lines = []
    if made.store:
        train = sum(account.local.tokens.train for account in made.store.sources.values())
        lines.append(
            f"token store: {output / TOKENS_FOLDER}, {train:,} training tokens, {made.store.bytes / 1e6:,.1f} MB, "
            f"vocabulary {made.store.vocabulary:,}, tokenised by {made.store.backend}"
        )
        if made.store.holdout.how == "published":
            counts = ((split, made.store.holdout.documents(split)) for split in ("validation", "test"))
            lines.append(
                "held out: the split that the input comes with, "
                + " and ".join(f"{count:,} documents for {split}" for split, count in counts)
            )
        lines += [
            f"{source} by {column}: {values_text(values, 'global')} of its training tokens"
            for source, account in made.store.sources.items()
            for column, values in account.columns.items()
        ]
        shares = {
            name: (account.global_.tokens.in_ - account.global_.tokens.train) / max(1, account.global_.tokens.in_)
            for name, account in made.store.sources.items()
        }
        if any(shares.values()):
            said = ", ".join(f"{100 * share:.3g} % of {name}" for name, share in shares.items())
            lines.append(f"not in train, with what is held out and all that is left out on its account: {said}")
        near = {name: account.local.documents.near_held_out for name, account in made.store.sources.items()}
        if any(near.values()):
            of_sources = ", ".join(f"{count:,} of {name}" for name, count in near.items() if count)
            lines.append(f"not in train, as they say nearly what a held-out document says: {of_sources}")
    if len(made.plans) > MOST_TABLES:
        lines += ["", aligned(swarm_table(made.plans))]
        if made.manifests:
            lines.append(f"{len(made.manifests):,} mixtures in {output}; their ratios: {output / RATIOS_FILE}")
    for name, plan in made.plans.items() if len(made.plans) <= MOST_TABLES else ():
        length = plan.sequence_length
        lines.append(f"\n{name}: {plan.sequences:,} sequences of {length:,} tokens")
        for phase in plan.phases if len(plan.phases) > 1 else ():
            lines += [f"phase {phase.name}:", aligned(phase_table(phase, length), last_rows=1)]
        lines += ["all phases:"] if len(plan.phases) > 1 else []
        lines.append(aligned(plan_table(plan, made.held_out.get(name)), last_rows=1))
        lines += [
            f"packing {packing}: {100 * shares.cut_share:.2f} % of the documents are not whole in one sequence, "
            f"{100 * shares.padding_share:.3f} % of the tokens are padding"
            for packing, shares in made.packing.get(name, {}).items()
        ]
        if name in made.manifests:
            mixture = made.manifests[name]
            held_out = ", ".join(f"{count:,} {split}" for split, count in mixture.held_out.items())
            lines.append(
                f"{output / name}: {len(mixture.files):,} files; {held_out} sequences in {output / HOLDOUT_FOLDER}"
            )
    return "\n".join(printable(line, keep="\n") for line in lines)
