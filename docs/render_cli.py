"""Writes docs/cli.md from the commands: ``python docs/render_cli.py``. A test holds the two together."""

from __future__ import annotations

import inspect
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from slimpajama.cli.main import app

HEAD = """# Command line

This page is made from the commands in the code by `python docs/render_cli.py`; `slimpajama COMMAND --help` says the
same. Results go to standard output, progress and warnings to standard error.
"""


def rendered() -> str:
    """The page as it should be."""
    lines = [HEAD]
    for registered in app.registered_commands:
        command: Any = registered.callback
        arguments, options = [], []
        hints = get_type_hints(command, include_extras=True)
        for parameter in inspect.signature(command).parameters.values():
            kind, info = get_args(hints[parameter.name])
            row = f"{_code(_usage(parameter, kind, info))} | {_cell(info.help)}"
            if isinstance(info, ArgumentInfo):
                arguments.append(f"| {row} |")
            else:
                required = parameter.default is inspect.Parameter.empty
                options.append(f"| {row}{' Required.' if required else ''} |")
        lines += [f"## slimpajama {command.__name__}", "", inspect.getdoc(command) or "", ""]
        lines += ["| argument | meaning |", "| --- | --- |", *arguments, ""] if arguments else []
        lines += ["| option | meaning |", "| --- | --- |", *options, ""]
    return "\n".join(lines)


def _usage(parameter: inspect.Parameter, kind: Any, info: ArgumentInfo | OptionInfo) -> str:
    if isinstance(info, ArgumentInfo):
        return info.metavar or parameter.name.upper()
    name = (info.param_decls or (f"--{parameter.name.replace('_', '-')}",))[0]
    kinds = [one for one in (kind, *get_args(kind)) if isinstance(one, type)]
    if bool in kinds:
        return name
    choices = next((one for one in kinds if issubclass(one, Enum)), None)
    if choices is not None:
        return f"{name} {' | '.join(choice.value for choice in choices)}"
    short = {int: "N", float: "X", str: "TEXT", Path: "FILE", list: "TEXT"}
    return f"{name} {info.metavar or next(short[one] for one in short if one in kinds or _holds(kind, one))}"


def _holds(kind: Any, wanted: type) -> bool:
    return any(wanted in (one, *get_args(one)) or _holds(one, wanted) for one in get_args(kind))


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(rendered(), encoding="utf-8")
