"""The configs and recipes that come with the package, by name: ``sample``, ``redpajama``, ``dc-1`` … ``dc-7``.

A preset is a file of the repository's ``configs/``, which a wheel holds as ``slimpajama/configs/``. Whoever may give a
path may give a name instead; a file of that name in the current folder comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from slimpajama.errors import ConfigError

__all__ = ["Kind", "Preset", "config_file", "preset", "presets", "recipe_file"]

Kind = Literal["config", "recipe"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A shipped file: the ``config`` of a whole run or the ``recipe`` of one mixture. ``title``: one line about it."""

    name: str
    kind: Kind
    path: Path
    title: str


def presets() -> list[Preset]:
    """All presets: configs first, each kind by name."""
    found: list[Preset] = []
    folder = _folder()
    kinds: tuple[tuple[Kind, Path], ...] = (("config", folder), ("recipe", folder / "mixtures"))
    for kind, where in kinds:
        for path in sorted(where.glob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            title = yaml.safe_load(text).get("description") or text.partition("\n")[0].lstrip("# ")
            found.append(Preset(path.stem, kind, path, title))
    return found


def preset(name: str) -> Preset:
    """The preset of that name. Raises :class:`ConfigError` listing the names there are."""
    known = presets()
    for one in known:
        if one.name == name:
            return one
    raise ConfigError(f"there is no preset {name!r}; the presets are {', '.join(one.name for one in known)}")


def config_file(given: Path) -> Path:
    """The file of a whole run's config: ``given`` if it exists, else the preset of that name.

    Raises :class:`ConfigError` where there is neither.
    """
    return _file(given, "config")


def recipe_file(given: Path) -> Path:
    """The file of a recipe: ``given`` if it exists, else the preset of that name.

    Raises :class:`ConfigError` where there is neither.
    """
    return _file(given, "recipe")


def _file(given: Path, kind: Kind) -> Path:
    if given.is_file():
        return given
    known = {one.name: one.path for one in presets() if one.kind == kind}
    if given.name in known and not given.suffix:
        return known[given.name]
    state = "is a folder" if given.is_dir() else "does not exist"
    raise ConfigError(f"the {kind} {given} {state}; give a YAML file or one of the presets {', '.join(known)}")


def _folder() -> Path:
    installed = Path(__file__).parents[1] / "configs"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "configs"
