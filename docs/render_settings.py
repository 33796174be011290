"""Writes docs/settings.md from the config model: ``python docs/render_settings.py``. A test holds the two together."""

from __future__ import annotations

from pathlib import Path

from slimpajama.config import Config, SourceConfig


def rendered() -> str:
    """The page as it should be."""
    lines = [
        "# Settings",
        "",
        "In a YAML file (`--config FILE`), as `--set key=value`, or as arguments of `slimpajama.deduplicate`; later ones",
        "override earlier ones. This page is made from the config model by `python docs/render_settings.py`.",
        "",
        "| setting | default | meaning |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| `{name}` | `{_default(field.default)}` | {field.description} |" for name, field in Config.model_fields.items()
    ]
    lines += ["", "Each of `sources` is a name, or a mapping:", "", "| key | default | meaning |", "| --- | --- | --- |"]
    lines += [
        f"| `{name}` | `{_default(field.default)}` | {field.description} |"
        for name, field in SourceConfig.model_fields.items()
    ]
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    if value is None:
        return "none"
    if repr(value) == "PydanticUndefined":
        return "required"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1 << 20:
        return f"{value >> 20} MiB"
    return "empty" if value in ((), "") else str(value)


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(rendered(), encoding="utf-8")
