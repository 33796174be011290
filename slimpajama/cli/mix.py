"""Build mixtures from a deduplication."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slimpajama.cli.errors import reported, results_only
from slimpajama.cli.options import (
    A_PATH,
    Debug,
    EngineName,
    Json,
    Keep,
    LogLevel,
    Memory,
    OnEngine,
    OneScope,
    Quiet,
    RayAddress,
    SetInSection,
    Workers,
)

__all__ = ["mix"]


def mix(
    input: Annotated[Path, typer.Option("--input", **A_PATH, help="Output of slimpajama dedup.")],
    output: Annotated[
        Path,
        typer.Option("--output", **A_PATH, help="Folder for the token store and the mixtures."),
    ],
    recipe: Annotated[
        list[Path] | None, typer.Option("--recipe", help="YAML recipe, or a preset, e.g. dc-6; repeatable.")
    ] = None,
    ratios: Annotated[
        Path | None,
        typer.Option(help="CSV with a mixture in each row, run,name,index and sources; --recipe then has no weights."),
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Token budget of each mixture, e.g. 2M (default: the recipe's).")
    ] = None,
    seq_len: Annotated[int | None, typer.Option(help="Sequence length (default: the recipe's).")] = None,
    packing: Annotated[
        str | None,
        typer.Option(help="concat, or best-fit, which cuts only what is longer than a sequence and pads."),
    ] = None,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Tell the documents of each sequence of train, with their tokens.")
    ] = False,
    scope: Annotated[OneScope | None, typer.Option(help="Scope of deduplication (default: the recipe's).")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="tokenizer.json or hub name (default: train one on the corpus).")
    ] = None,
    end_of_text: Annotated[
        str | None, typer.Option(help="Special token after each document (default: the one the tokenizer declares).")
    ] = None,
    holdout: Annotated[
        float | None, typer.Option(help="Share of a source's tokens for each of validation and test (default 0.01).")
    ] = None,
    holdout_from: Annotated[
        str | None, typer.Option(help="Earlier output whose validation and test are taken over, instead of a draw.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            help="Metadata to keep, e.g. meta.language or github:meta.language; repeatable. What a recipe "
            "splits by is kept anyway.",
        ),
    ] = None,
    holdout_overlap: Annotated[
        float | None,
        typer.Option(help="Out of train goes what shares this part of its words with a held-out text (default 0.5)."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the mixtures (default 1).")] = None,
    format: Annotated[
        str, typer.Option(help="Files to write: parquet, megatron, olmo, nanotron, nanogpt or mds.")
    ] = "parquet",
    memory: Memory = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Make the token store, print the plans, build no mixture.")
    ] = False,
    workers: Workers = None,
    engine: OnEngine = EngineName.local,
    ray_address: RayAddress = None,
    set: SetInSection = None,
    keep: Keep = False,
    quiet: Quiet = False,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Build token-exact mixtures from a deduplication, by recipes: OUTPUT/<recipe>/train-*.parquet and so on.

    Documents are tokenised once, into OUTPUT/tokens; later calls with the same settings use that store.
    """
    with reported(debug, quiet=quiet or json, log_level=log_level):
        import orjson

        from slimpajama.cli.output import mixture_lines
        from slimpajama.config.tokens import load_token_config
        from slimpajama.engine.choice import EngineChoice
        from slimpajama.errors import ConfigError
        from slimpajama.pipeline import mix_api

        overrides = {
            "tokens": tokens,
            "sequence_length": seq_len,
            "packing": packing,
            "provenance": provenance or None,
            "scope": scope and scope.value,
            "seed": seed,
        }
        if ratios is not None:
            if recipe and len(recipe) > 1:
                raise ConfigError("--ratios takes one --recipe at most, for what its rows have in common; give one")
            recipes = mix_api.load_ratios(ratios, recipe[0] if recipe else None, **overrides)
        elif recipe:
            recipes = [mix_api.load_recipe(file, **overrides) for file in recipe]
        else:
            raise ConfigError("nothing says what to mix; give --recipe or --ratios")
        settings = load_token_config(
            set or (),
            tokenizer=tokenizer,
            end_of_text=end_of_text,
            holdout=holdout,
            holdout_from=holdout_from,
            columns=tuple(column) if column else None,
            holdout_overlap=holdout_overlap,
        )
        talks = not quiet and not json
        with results_only():
            made = mix_api.mix(
                input,
                output,
                recipes,
                settings,
                format=format,
                dry_run=dry_run,
                keep=keep,
                workers=workers,
                memory=memory,
                progress=talks,
                engine=EngineChoice(engine.value, ray_address),
            )
        if json:
            typer.echo(orjson.dumps(made.as_dict()).decode())
        elif talks:
            typer.echo(mixture_lines(made, output))
