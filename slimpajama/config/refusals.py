"""Says in plain words what is wrong with the value of a setting.

One table from the kinds of fault that pydantic knows to words; a kind that is not in it says that the value is none
that the setting can have. The tests go through every setting with values of every type, so that no word of pydantic or
Python reaches a user. Costs nothing: it is called once, where a command ends. Rejected: pydantic's own messages, which
speak of tuples, dictionaries and instances to people who write YAML.
"""

from __future__ import annotations

import datetime
import reprlib
from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

__all__ = ["kind_of", "reason", "shown", "truth_for_number"]

_WORDS = {
    "missing": "must be given",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text",
    "tuple_type": "must be a list, such as [one, two]",
    "list_type": "must be a list, such as [one, two]",
    "dict_type": "must be a mapping, such as {{name: value}}",
    "model_type": "must be a mapping of settings to values",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "literal_error": "must be {expected}",
    "too_short": "must have at least {min_length} entry",
    "too_long": "must have at most {max_length} entries",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} character(s)",
}

_OF_NUMBERS = ("finite_number", "greater_than_equal", "greater_than", "less_than_equal", "less_than")
"""Faults that pydantic finds in what is not a number, too, in whichever bound it looks at first."""

_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "must be made of A-Z, a-z, 0-9, '.', '_' and '-' and begin with a letter or digit",
    r"^[^.]+(\.[^.]+)*$": "must be a name, or names joined by single dots",
}


def reason(fault: Mapping[str, Any]) -> str:
    """What is wrong, and which value was given. ``fault``: one of ``ValidationError.errors()``."""
    context = fault.get("ctx", {})
    if fault["type"] == "value_error":
        return str(context["error"])
    if fault["type"] in _OF_NUMBERS and str(fault["input"]).strip().lower() == "nan":
        words = "must be a number"
    elif fault["type"] == "string_pattern_mismatch":
        words = _PATTERNS.get(context["pattern"], f"must match the pattern {context['pattern']}")
    else:
        numbers = {name: _number(value) for name, value in context.items()}
        words = _WORDS.get(fault["type"], "is not a value that this setting can have").format(**numbers)
    return words if fault["type"] == "missing" else f"{words} (given: {shown(fault['input'])})"


def _number(value: object) -> object:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else value


def kind_of(value: object) -> str:
    """What a value of YAML is, with its article."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the word {shown(value)}"
    kinds = {
        "a number": (int, float),
        "a text": (str,),
        "a list": (list, tuple),
        "a mapping": (Mapping,),
        "a date": (datetime.date,),
    }
    return next((kind for kind, types in kinds.items() if isinstance(value, types)), "something else")


def shown(value: object) -> str:
    """The value as YAML writes it, shortened: aliases can make nine lines of YAML endless."""
    return _SHOWN.repr(value)


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 2, 100, 100

    def repr1(self, x: Any, level: int) -> str:
        if x is None:
            return "nothing"
        if isinstance(x, bool):
            return str(x).lower()
        if isinstance(x, datetime.date):
            return x.isoformat()
        if isinstance(x, tuple):
            return super().repr1(list(x), level)
        return super().repr1(x, level) if isinstance(x, str | int | float | list | dict) else kind_of(x)


_SHOWN = _Shown()


def truth_for_number(model: type[BaseModel], values: Mapping[str, Any]) -> tuple[str, bool] | None:
    """The first key, with its section, that has ``true`` or ``false`` for a number, and which: pydantic takes them for
    1 and 0, and YAML takes ``yes``, ``no``, ``on`` and ``off`` for them."""
    for name, value in values.items():
        field = model.model_fields.get(str(name))
        if field is None:
            continue
        if isinstance(value, bool) and not _takes(field.annotation, bool) and _takes(field.annotation, int, float):
            return str(name), value
        if isinstance(value, Mapping):
            inner = _model_in(field.annotation)
            if inner is not None and (found := truth_for_number(inner, value)) is not None:
                return f"{name}.{found[0]}", found[1]
            if inner is None and get_origin(field.annotation) is dict:
                numbers = get_args(field.annotation)[1]
                for key, one in value.items():
                    if isinstance(one, bool) and _takes(numbers, int, float):
                        return f"{name}.{key}", one
    return None


def _takes(annotation: Any, *types: type) -> bool:
    if get_origin(annotation) in (Union, UnionType) or hasattr(annotation, "__metadata__"):
        return any(_takes(one, *types) for one in get_args(annotation))
    return annotation in types


def _model_in(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *get_args(annotation))
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)
