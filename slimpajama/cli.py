"""The commands: parsing and printing, nothing else. Results go to standard output, progress and notes to error.

Exit codes: 0 done; 2 a setting or argument is wrong; 3 the input cannot be used; 4 the output cannot be written;
5 a worker was killed twice; 6 documents were not conserved; 7 verify found something wrong; 130 interrupted; 143
terminated. Heavy imports happen inside commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Deduplicate multi-source pretraining text, locally and globally, and mix it.",
    epilog="Exit codes: 0 done, 2 wrong setting, 3 unusable input, 4 unwritable output, 5 worker killed, "
    "6 documents not conserved, 7 verify found something wrong, 130 interrupted, 143 terminated.",
)


def _place(text: str) -> Path:
    """A path or the URL of a store."""
    from slimpajama.errors import ConfigError
    from slimpajama.storage import place

    try:
        return place(text)
    except ConfigError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


A_PLACE: dict[str, Any] = {"parser": _place, "metavar": "PLACE"}


# `global` is a keyword, so these are made from values.
ScopeName = Enum("ScopeName", {"both": "both", "global": "global", "local": "local"}, type=str)
OneScope = Enum("OneScope", {"global": "global", "local": "local"}, type=str)
FormatName = Enum("FormatName", {"parquet": "parquet", "megatron": "megatron"}, type=str)


EngineName = Enum("EngineName", {"local": "local", "ray": "ray"}, type=str)
OnEngine = Annotated[EngineName, typer.Option("--engine", help="Run on this machine, or on a Ray cluster.")]
RayAddress = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster, e.g. auto (default: a Ray of this machine).")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars and no table.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of tables.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes (default: one per core).")]


@contextlib.contextmanager
def _reported(debug: bool) -> Iterator[None]:
    """Errors of this program become one line and an exit code; an interrupt says how to go on."""
    from slimpajama.errors import SlimpajamaError
    from slimpajama.interruption import Terminated, interruptible

    interrupted = "interrupted; finished work is kept: run the same command again to go on"
    try:
        with interruptible(interrupted):
            yield
    except SlimpajamaError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as interrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(143 if isinstance(interrupt, Terminated) else 130) from interrupt


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"slimpajama {version('slimpajama')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


@app.command()
def sample(
    out: Annotated[
        Path,
        typer.Argument(**A_PLACE, help="Folder to write: seven sources, ground truth beside them."),
    ],
    docs: Annotated[int, typer.Option(min=1, help="Documents in all, about 4 KB each.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other text.")] = 1,
    workers: Workers = None,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the built-in RedPajama-shaped sample: invented text, planted duplicates, ground truth."""
    with _reported(debug):
        import dataclasses
        import os

        import orjson
        from tqdm import tqdm

        from slimpajama.corpus.sample import write_sample
        from slimpajama.engine.local import LocalEngine

        with (
            LocalEngine(workers or len(os.sched_getaffinity(0))) as engine,
            tqdm(
                desc="sample", unit="B", unit_scale=True, disable=quiet or json or not sys.stderr.isatty(), leave=False
            ) as bar,
        ):

            def advance(size: int) -> None:
                bar.update(size)

            summary = write_sample(out, docs=docs, seed=seed, engine=engine, progress=advance)
        if json:
            typer.echo(orjson.dumps(dataclasses.asdict(summary)).decode())
        elif not quiet:
            typer.echo(
                f"{summary.documents:,} documents, {summary.bytes / 1e6:,.1f} MB of JSONL, {summary.pairs:,} planted "
                f"pairs, {summary.broken} broken lines, in {summary.seconds:.1f} s\n"
                f"sample: {out}\nground truth: {out / 'ground_truth.parquet'}"
            )


@app.command()
def dedup(
    input: Annotated[Path, typer.Option("--input", **A_PLACE, help="Folder that holds the sources' folders.")],
    output: Annotated[Path, typer.Option("--output", **A_PLACE, help="Folder for decisions, shards and summary.")],
    scope: Annotated[
        ScopeName | None,
        typer.Option(help="Shards to write; decisions always hold both scopes (default: both)."),
    ] = None,
    workers: Workers = None,
    engine: OnEngine = EngineName.local,
    ray_address: RayAddress = None,
    against: Annotated[
        Path | None,
        typer.Option(**A_PLACE, help="Output of an earlier run: what is there is not kept again."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, over the file's; repeatable."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Deduplicate shards within each source (local) and across all (global), in one pass.

    The output holds decisions/ (a verdict on every record, Parquet), global/ and local/ (deduplicated shards),
    quarantine/ (broken records) and summary.json. Run the same command again to resume.
    """
    with _reported(debug):
        import orjson

        from slimpajama.config import load_config
        from slimpajama.dedup.bands import banding
        from slimpajama.dedup.summary import catch_line, table
        from slimpajama.engine.choice import EngineChoice
        from slimpajama.pipeline import deduplicate

        settings = load_config(
            config, set or (), scope=scope and scope.value, workers=workers, against=str(against) if against else None
        )
        talks = not quiet and not json
        if talks:
            typer.echo(catch_line(*banding(settings)), err=True)
        chosen = EngineChoice(engine.value, ray_address)
        summary = deduplicate(input, output, settings, progress=talks and sys.stderr.isatty(), engine=chosen)
        if json:
            typer.echo(orjson.dumps(summary).decode())
        elif talks:
            typer.echo(table(summary))
            typer.echo(_closing_lines(summary, output))


def _closing_lines(summary: dict[str, Any], output: Path) -> str:
    """What the run did, where it ignored or quarantined something, and where to look."""
    lines = [""]
    stages = ", ".join(
        f"{name} {stage['seconds']:.1f} s"
        + (f" ({stage['reused']} of {stage['items']} reused)" if stage["reused"] else "")
        for name, stage in summary["stages"].items()
    )
    speed = f", {summary['mb_per_second']:.0f} MB/s" if summary["mb_per_second"] else ""
    lines.append(f"{summary['seconds']:.1f} s on {summary['settings']['workers']} worker(s){speed}: {stages}")
    lines.append(f"peak memory: {summary['peak_memory_bytes'] / 2**20:,.0f} MiB")
    ignored = summary["shards"]["ignored"]
    if ignored:
        lines.append(f"not read: {len(ignored)} file(s) that are shards of no source, e.g. {ignored[0]}")
    if summary["sources"]["total"]["bad"]["documents"]:
        lines.append(f"bad records: {output / 'quarantine'}")
    scope = summary["settings"]["scope"]
    shards = " and ".join(str(output / name) for name in ("global", "local") if scope in ("both", name))
    lines.append(f"shards: {shards}\ndecisions: {output / 'decisions'}\nsummary: {output / 'summary.json'}")
    return "\n".join(lines)


@app.command()
def mix(
    input: Annotated[Path, typer.Option("--input", **A_PLACE, help="Output of slimpajama dedup.")],
    output: Annotated[
        Path,
        typer.Option("--output", **A_PLACE, help="Folder for the token store and the mixtures."),
    ],
    recipe: Annotated[list[Path], typer.Option("--recipe", help="YAML recipe; repeatable.")],
    tokens: Annotated[
        str | None, typer.Option(help="Token budget of each mixture, e.g. 2M (default: the recipe's).")
    ] = None,
    seq_len: Annotated[int | None, typer.Option(help="Sequence length (default: the recipe's).")] = None,
    scope: Annotated[OneScope | None, typer.Option(help="Scope of deduplication (default: the recipe's).")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="tokenizer.json or hub name (default: train one on the corpus).")
    ] = None,
    holdout: Annotated[
        float | None, typer.Option(help="Share held out for validation and test (default 0.0017).")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of holdout, shuffle and mixtures (default 1).")] = None,
    format: Annotated[FormatName | None, typer.Option(help="Files to write (default: parquet).")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory for all workers, e.g. 8GiB (default: half).")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make the token store, print the plans, build no mixture.")
    ] = False,
    workers: Workers = None,
    engine: OnEngine = EngineName.local,
    ray_address: RayAddress = None,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Build token-exact mixtures from a deduplication, by recipes: OUTPUT/<recipe>/train-*.parquet and so on.

    Documents are tokenised once, into OUTPUT/tokens; later calls with the same settings use that store.
    """
    with _reported(debug):
        import orjson

        from slimpajama.config import TokenConfig, checked, load_config
        from slimpajama.engine.choice import EngineChoice
        from slimpajama.mixture.kept import open_dedup_output
        from slimpajama.mixture.recipe import load_recipe
        from slimpajama.pipeline.mixtures import make_mixtures
        from slimpajama.stage import Stages

        overrides = {"tokens": tokens, "sequence_length": seq_len, "scope": scope and scope.value, "seed": seed}
        recipes = [load_recipe(file, **overrides) for file in recipe]
        machine = load_config(workers=workers, memory=memory)
        given = {"tokenizer": tokenizer, "holdout": holdout, "seed": seed}
        settings = checked(TokenConfig, {key: value for key, value in given.items() if value is not None}, "options")
        talks = not quiet and not json
        with EngineChoice(engine.value, ray_address).opened(machine) as opened:
            made = make_mixtures(
                open_dedup_output(input),
                recipes,
                settings,
                output,
                stages=Stages(opened, bars=talks and sys.stderr.isatty()),
                memory=machine.item_bytes(),
                format=format.value if format else "parquet",
                dry_run=dry_run,
            )
        if json:
            typer.echo(orjson.dumps({"tokens": made.store, "mixtures": made.manifests}).decode())
        elif talks:
            typer.echo(_mixture_lines(made, output))


@app.command()
def status(
    output: Annotated[
        Path, typer.Argument(metavar="RUN", parser=_place, help="What --output of dedup, mix or run said.")
    ],
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What would be, with this setting; repeatable."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what of a run is done, what is not, and what is stale and why. Changes nothing."""
    with _reported(debug):
        import dataclasses

        import orjson

        from slimpajama.pipeline.status import run_status, status_lines

        found = run_status(output, set or ())
        if json:
            typer.echo(orjson.dumps(dataclasses.asdict(found) | {"finished": found.finished}).decode())
        else:
            typer.echo("\n".join(status_lines(found)))


@app.command()
def plan(
    config: Annotated[Path, typer.Argument(help="YAML config of a whole run, e.g. configs/redpajama.yaml.")],
    input: Annotated[
        Path | None,
        typer.Option("--input", **A_PLACE, help="Folder of shards, over the config's."),
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Cores of a node (default: this machine's).")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes.")] = 1,
    text: Annotated[
        str | None, typer.Option(help="Text in all, e.g. 4.9TB, where the input is only a part of it.")
    ] = None,
    documents: Annotated[int | None, typer.Option(min=1, help="Documents in all (default: as the text).")] = None,
    kept: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the text to be kept (default: as in the sample)."),
    ] = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="One setting, over the file's; repeatable."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell what a run will take: documents, tokens, disk, memory, hours. Runs a sample of the input; keeps nothing."""
    with _reported(debug):
        import dataclasses

        import orjson

        from slimpajama.config import size_in_bytes
        from slimpajama.pipeline.planning import Assumptions, plan_run
        from slimpajama.pipeline.run import load_run_config
        from slimpajama.planning.plan_table import plan_lines

        settings = load_run_config(config, set or (), input=str(input.resolve()) if input else None)
        told = Assumptions(cores, nodes, size_in_bytes(text, "--text") if text else None, documents, kept)
        planned = plan_run(settings, config.parent, told, bars=not quiet and not json and sys.stderr.isatty())
        if json:
            hours = {"core_hours": planned.core_hours, "wall_hours": planned.wall_hours}
            typer.echo(orjson.dumps(dataclasses.asdict(planned) | hours).decode())
        else:
            typer.echo("\n".join(plan_lines(planned)))


@app.command()
def verify(
    output: Annotated[
        Path, typer.Argument(metavar="RUN", parser=_place, help="What --output of dedup, mix or run said.")
    ],
    workers: Workers = None,
    engine: OnEngine = EngineName.local,
    ray_address: RayAddress = None,
    memory: Annotated[str | None, typer.Option(help="Memory for all workers, e.g. 8GiB (default: half).")] = None,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Read every output of a run again and check it: digests, counts, clusters, splits, mixtures against plans.

    Exit code 7 if anything is wrong; each finding says what to do. Changes nothing.
    """
    with _reported(debug):
        import dataclasses

        import orjson

        from slimpajama.config import load_config
        from slimpajama.engine.choice import EngineChoice
        from slimpajama.errors import DamagedOutput
        from slimpajama.pipeline.verification import verify_run

        machine = load_config(workers=workers, memory=memory)
        talks = not quiet and not json
        with EngineChoice(engine.value, ray_address).opened(machine) as opened:
            found = verify_run(output, opened, memory=machine.item_bytes(), bars=talks and sys.stderr.isatty())
        if json:
            typer.echo(orjson.dumps(dataclasses.asdict(found)).decode())
        else:
            for finding in found.findings:
                typer.echo(finding)
            if talks:
                typer.echo("checked: " + ", ".join(f"{count:,} {what}" for what, count in found.checked.items()))
        if found.findings:
            raise DamagedOutput(f"{len(found.findings):,} finding(s) in {output}, listed above")
        if talks:
            typer.echo("nothing is wrong")


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="YAML config of a whole run, e.g. configs/sample.yaml.")],
    output: Annotated[
        Path,
        typer.Option("--output", **A_PLACE, help="Folder for dedup/, mixtures/ and summary.json."),
    ],
    input: Annotated[
        Path | None,
        typer.Option("--input", **A_PLACE, help="Folder of shards, over the config's."),
    ] = None,
    workers: Workers = None,
    engine: OnEngine = EngineName.local,
    ray_address: RayAddress = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="One setting, over the file's; repeatable."),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Everything a config asks for: sample or input, deduplication, token store, all mixtures, summary.

    Run the same command again to resume; what is done and still holds is not done again.
    """
    with _reported(debug):
        import orjson

        from slimpajama.dedup.bands import banding
        from slimpajama.dedup.summary import catch_line, table
        from slimpajama.engine.choice import EngineChoice
        from slimpajama.pipeline.run import load_run_config, run_all

        flags = {"input": str(input.resolve()) if input else None, "dedup.workers": workers}
        settings = load_run_config(config, set or (), **flags)
        talks = not quiet and not json
        if talks:
            typer.echo(catch_line(*banding(settings.dedup)), err=True)
        chosen = EngineChoice(engine.value, ray_address)
        summary, made = run_all(settings, config.parent, output, progress=talks and sys.stderr.isatty(), engine=chosen)
        if json:
            typer.echo(orjson.dumps(summary).decode())
        elif talks:
            typer.echo(table(summary["dedup"]))
            typer.echo(_closing_lines(summary["dedup"], output / "dedup"))
            typer.echo("\n" + _mixture_lines(made, output / "mixtures"))
            typer.echo(f"\n{summary['seconds']:.1f} s in all; summary: {output / 'summary.json'}")


def _mixture_lines(made: Any, output: Path) -> str:
    """The token store in a line, then the plan of each recipe and where its mixture lies."""
    from slimpajama.dedup.summary import aligned
    from slimpajama.mixture.plan import plan_table

    lines = [f"warning: {warning}" for warning in made.store.get("warnings", [])]
    if made.store:
        train = sum(account["local"]["tokens"]["train"] for account in made.store["sources"].values())
        lines.append(
            f"token store: {output / 'tokens'}, {train:,} training tokens, {made.store['bytes'] / 1e6:,.1f} MB, "
            f"vocabulary {made.store['vocabulary']:,}, tokenised by {made.store['backend']}"
        )
    for name, plan in made.plans.items():
        lines.append(f"\n{name}: {plan.sequences:,} sequences of {plan.sequence_length:,} tokens")
        lines.append(aligned(plan_table(plan), rule_before_last=True))
        if name in made.manifests:
            manifest = made.manifests[name]
            held_out = ", ".join(f"{manifest['sequences'][split]:,} {split}" for split in ("validation", "test"))
            lines.append(f"{output / name}: {len(manifest['files']):,} files, {held_out} sequences held out")
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    from slimpajama.engine.lean import command_does_without

    command_does_without()
    app()
