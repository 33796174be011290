"""What comes with the package, by name: settings of a deduplication, configs of whole runs, and recipes.

``slimpajama``, ``verified``, ``fineweb`` … are values of the setting ``preset``
(:mod:`slimpajama.config.dedup_presets`). ``sample``, ``redpajama`` and ``dc-1`` … ``dc-7`` are files of the
repository's ``configs/``, which a wheel holds as ``slimpajama/configs/``. Whoever may give the path of a config or
recipe may give a name instead; a file of that name in the current folder comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slimpajama.config.dedup_presets import DEDUP_PRESETS, PRESET_THRESHOLD, DedupPreset
from slimpajama.errors import ConfigError

__all__ = ["Kind", "Preset", "config_file", "preset", "presets", "recipe_file"]

Kind = Literal["dedup", "config", "recipe"]


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings of a deduplication (``dedup``), the ``config`` of a whole run or the ``recipe`` of one mixture.

    ``title``: one line about it. ``content``: as YAML. ``path``: of a config or recipe.
    """

    name: str
    kind: Kind
    title: str
    content: str
    path: Path | None = None


def presets() -> list[Preset]:
    """All presets: those of the setting ``preset``, then configs and recipes by name."""
    import yaml

    found = [Preset(name, "dedup", one.title, _settings(name, one)) for name, one in DEDUP_PRESETS.items()]
    folder = _folder()
    kinds: tuple[tuple[Kind, Path], ...] = (("config", folder), ("recipe", folder / "mixtures"))
    for kind, where in kinds:
        for path in sorted(where.glob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            title = yaml.safe_load(text).get("description") or text.partition("\n")[0].lstrip("# ")
            found.append(Preset(path.stem, kind, title, text, path))
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
    known = {one.name: one.path for one in presets() if one.kind == kind and one.path is not None}
    if given.name in known and not given.suffix:
        return known[given.name]
    if kind == "config" and str(given) in DEDUP_PRESETS:
        raise ConfigError(f"{given} is a preset of single settings, not a config: ask for it by --preset {given}")
    state = "is a folder" if given.is_dir() else "does not exist"
    raise ConfigError(f"the {kind} {given} {state}; give a YAML file or one of the presets {', '.join(known)}")


def _settings(name: str, preset: DedupPreset) -> str:
    """The values of a preset as a config of ``slimpajama dedup``."""
    lines = [
        f"# {preset.title}",
        f"preset: {name}",
        "# which sets, where they are not given:",
        f"# shingle: {{unit: {preset.shingle.unit}, length: {preset.shingle.length}}}",
        f"# method: {preset.method}",
        f"# num_perm: {preset.num_perm}",
        f"# bands: {preset.bands}",
        f"# rows: {preset.rows}",
        f"# checked: {str(preset.checked).lower()}",
        *([f"# threshold: {PRESET_THRESHOLD}"] if preset.checked else []),
    ]
    return "\n".join(lines) + "\n"


def _folder() -> Path:
    installed = Path(__file__).parents[1] / "configs"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "configs"
