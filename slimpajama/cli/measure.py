"""Measure how far a model compresses texts."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from slimpajama.cli.errors import NOTHING_CHANGED, reported
from slimpajama.cli.options import A_PATH, Debug, Json, LogLevel

__all__ = ["measure"]

HeldOutSplit = Enum("HeldOutSplit", {"validation": "validation", "test": "test"}, type=str)
DeviceName = Enum("DeviceName", {"cpu": "cpu", "cuda": "cuda"}, type=str)
Precision = Enum("Precision", {"float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}, type=str)


def measure(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="Folder of a model that slimpajama study trained, or that save_pretrained of Transformers wrote.",
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            metavar="PATH",
            help="A token store, a mixture, an output of mix, a file of JSON lines, or a folder of them; repeatable.",
        ),
    ],
    field: Annotated[str, typer.Option(metavar="NAME", help="Where JSON lines have their text.")] = "text",
    split: Annotated[
        HeldOutSplit, typer.Option(help="Which held-out sequences of a token store.")
    ] = HeldOutSplit.validation,
    texts: Annotated[int, typer.Option(min=1, help="Texts of each source, at most.")] = 64,
    max_tokens: Annotated[
        int, typer.Option(min=2, help="Tokens of a text, at most; no more than the model takes or a mixture has.")
    ] = 2048,
    batch_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a forward pass, about.")] = 4096,
    layers: Annotated[
        str | None, typer.Option(metavar="N,N,…", help="Layers, e.g. 0,-1 for the first and the last (default: all).")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(**A_PATH, help="A tokenizer.json, or its folder, over the model's own.")
    ] = None,
    diff_erank: Annotated[
        bool, typer.Option("--diff-erank", help="Compare with the same model, its parameters drawn by --seed.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the untrained model.")] = 0,
    device: Annotated[DeviceName, typer.Option(help="Where to compute.")] = DeviceName.cpu,
    dtype: Annotated[
        Precision, typer.Option(help="Precision of the model; measures have their own.")
    ] = Precision.float32,
    json: Json = False,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Measure how far a model compresses texts: Matrix Nuclear-Norm, nuclear norm, matrix entropy, effective rank.

    One row for each source and layer; layer 0 is what the embeddings give, the last one comes after the final norm.
    Needs the extra slimpajama[study]. Changes nothing.
    """
    with reported(debug, NOTHING_CHANGED, quiet=json, log_level=log_level):
        import dataclasses

        import orjson

        from slimpajama.cli.measure_text import measures_text
        from slimpajama.engine.import_guard import admit_all
        from slimpajama.errors import ConfigError

        admit_all()
        try:
            from slimpajama.study.compression.measuring import MeasureRequest, measure_model
        except ModuleNotFoundError as fault:
            raise ConfigError(
                f"measure needs {fault.name}, which is not installed; install slimpajama[study]"
            ) from fault
        found = measure_model(
            MeasureRequest(
                model=model,
                data=tuple(data),
                field=field,
                split=split.value,
                texts=texts,
                max_tokens=max_tokens,
                batch_tokens=batch_tokens,
                layers=_layers(layers),
                device=device.value,
                dtype=dtype.value,
                tokenizer=tokenizer,
                untrained_seed=seed if diff_erank else None,
            )
        )
        typer.echo(orjson.dumps(dataclasses.asdict(found)).decode() if json else measures_text(found))


def _layers(text: str | None) -> tuple[int, ...] | None:
    from slimpajama.errors import ConfigError

    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as fault:
        raise ConfigError(f"--layers {text!r} is no list of numbers; give one such as 0,6,-1") from fault
