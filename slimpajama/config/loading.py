"""From files, words and options to settings.

A run is configured by defaults, then a YAML file, then ``key=value`` words, then command-line flags, each over the one
before. The first fault becomes a :class:`~slimpajama.errors.ConfigError` that names the origin, the key and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from slimpajama.config.refusals import kind_of, reason, shown, truth_for_number
from slimpajama.errors import ConfigError

__all__ = ["assigned", "checked", "put_at", "read_yaml", "with_settings", "without_empty"]

Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: object, origin: str) -> Model:
    """``values`` as ``model``; the first fault becomes a :class:`ConfigError` naming ``origin``, key and remedy."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{origin} holds {kind_of(values)}; it must be a mapping of settings to values")
    truth = truth_for_number(model, values)
    if truth is not None:
        raise ConfigError(f"{origin}: {truth[0]}: must be a number (given: {shown(truth[1])})")
    try:
        return model.model_validate(values)
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        if first["type"] == "extra_forbidden":
            known = ", ".join(_model_at(model, first["loc"]).model_fields)
            raise ConfigError(f"{origin}: there is no setting {key!r}; the settings are {known}") from fault
        raise ConfigError(f"{origin}: {key}: {reason(first)}") from fault


def _model_at(model: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """The model whose key the last part of ``place`` is."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part))
        inner = (field.annotation, *get_args(field.annotation)) if field else ()
        model = next((one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)), model)
    return model


def read_yaml(file: Path, kind: str) -> object:
    """What the YAML ``file`` holds, ``{}`` if nothing; plain values only. Raises :class:`ConfigError`."""
    import yaml

    from slimpajama.config.strict_yaml import load_yaml

    try:
        content = load_yaml(file.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ConfigError(f"cannot read the {kind} {file}: {fault.strerror}") from fault
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(fault).split())}") from fault
    return {} if content is None else content


def assigned(assignment: str) -> tuple[str, object]:
    """Key and value of a ``key=value`` word; the value is YAML. Raises :class:`ConfigError`."""
    import yaml

    from slimpajama.config.strict_yaml import load_yaml

    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {assignment}: write it as key=value, for example --set memory=8GiB")
    try:
        return key.strip(), load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise ConfigError(f"--set {assignment}: {text!r} is not a YAML value") from fault


def put_at(values: MutableMapping[str, Any], key: str, value: object, origin: str, holder: str) -> None:
    """Set a dotted ``key`` of nested mappings; sections that are not there are made.

    Raises :class:`ConfigError`, which begins with ``origin``, for a part that is no section of ``holder``.
    """
    *sections, last = key.split(".")
    for section in sections:
        if values.get(section) is None:
            values[section] = {}
        values = values[section]
        if not isinstance(values, MutableMapping):
            raise ConfigError(f"{origin}: {section!r} is not a section of {holder}")
    values[last] = value


def with_settings(model: type[Model], base: Model | None, settings: Mapping[str, object]) -> Model:
    """``base``, or the defaults, with ``settings`` over what ``base`` was given. Raises :class:`ConfigError`."""
    return checked(model, {**(base.model_dump(exclude_unset=True) if base else {}), **settings}, "settings")


def without_empty(written: Mapping[str, object], name: str) -> dict[str, object]:
    """Settings as they are written down, without the setting ``name`` where nothing is in it."""
    return {key: value for key, value in written.items() if key != name or value}
