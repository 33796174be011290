"""Writes docs/api.md from the public names, and docs/schemas/*.json from the summaries: ``python docs/render_api.py``.

A test holds code and pages together.
"""

from __future__ import annotations

import enum
import inspect
import re
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel

import slimpajama
from slimpajama.config.dedup import Config
from slimpajama.mixture.planned import PlannedMixture

HEAD = """# Python reference

This page is made from the code by `python docs/render_api.py`. [Python](python.md) shows each function at work. The
fields of the settings stand in [Settings](settings.md).
"""


def rendered() -> str:
    """The page as it should be."""
    named = {name: getattr(slimpajama, name) for name in slimpajama.__all__}
    errors = {name: one for name, one in named.items() if isinstance(one, type) and issubclass(one, Exception)}
    classes = {name: one for name, one in named.items() if isinstance(one, type) and name not in errors}
    functions = {name: one for name, one in named.items() if name not in errors and name not in classes}
    lines = [HEAD, "## Functions", ""]
    for name, function in functions.items():
        lines += [f"### {name}", "", *_code(_signature(name, function)), "", _text(function), ""]
    lines += ["## Classes", ""]
    for name, one in classes.items():
        lines += [f"### {name}", "", *_members(one), _text(one), ""]
    lines += ["## Errors", "", "| error | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {' '.join(_text(one).split())} |" for name, one in errors.items()]
    return "\n".join([*lines, ""])


def schemas() -> dict[str, str]:
    """The JSON Schema of each summary, by the name of its file."""
    return {
        "dedup-summary.json": _schema(slimpajama.DedupSummary),
        "token-summary.json": _schema(slimpajama.TokenSummary),
        "mixture-summary.json": _schema(slimpajama.MixtureSummary),
        "mixture-plan.json": _schema(PlannedMixture),
    }


def _schema(summary: Any) -> str:
    schema = msgspec.json.schema(summary, schema_hook=_schema_of_other)
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def _schema_of_other(kind: type) -> dict[str, Any]:
    if kind is Config:
        return {"type": "object", "description": "The settings; docs/settings.md lists them."}
    return {"description": "Any value."}


def _signature(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    parameters = []
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and "*" not in parameters:
            parameters.append("*")
        text = one.name if one.annotation is one.empty else f"{one.name}: {one.annotation}"
        stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        parameters.append(f"{stars}{text}" if one.default is one.empty else f"{text} = {one.default!r}")
    whole = f"{name}({', '.join(parameters)}) -> {signature.return_annotation}"
    if len(whole) <= 100:
        return whole
    return "\n".join([f"{name}(", *(f"    {one}," for one in parameters), f") -> {signature.return_annotation}"])


def _members(one: type) -> list[str]:
    if issubclass(one, (BaseModel, enum.Enum)):
        return []
    fields = {name: str(kind) for name, kind in inspect.get_annotations(one).items() if name[0] != "_"}
    lines = [f"{name}: {kind}" for name, kind in fields.items()]
    for name, member in vars(one).items():
        if name[0] != "_" and isinstance(member, property):
            lines.append(f"{name}: {inspect.signature(member.fget).return_annotation}")  # type: ignore[arg-type]
        elif name[0] != "_" and inspect.isfunction(member):
            lines.append(_signature(name, member))
    return [*_code("\n".join(lines)), ""] if lines else []


def _code(text: str) -> list[str]:
    return ["```text", text, "```"]


def _text(one: Any) -> str:
    """A docstring as Markdown."""
    text = inspect.getdoc(one) or ""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


if __name__ == "__main__":
    docs = Path(__file__).parent
    (docs / "api.md").write_text(rendered(), encoding="utf-8")
    (docs / "schemas").mkdir(exist_ok=True)
    for file, content in schemas().items():
        (docs / "schemas" / file).write_text(content, encoding="utf-8")
