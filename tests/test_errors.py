"""The tree of errors and the exit codes that scripts rely on."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import slimpajama
from slimpajama import errors

PACKAGE = Path(slimpajama.__file__).parent
NAMES = {"PyTorch", "Transformers", "RRGS", "H2O", "Keyformer", "SnapKV"}
"""With which a message may begin, though they have capitals."""


@pytest.mark.parametrize(
    ("name", "parent", "code"),
    [
        ("SlimpajamaError", "Exception", 1),
        ("ConfigError", "SlimpajamaError", 2),
        ("InputError", "SlimpajamaError", 3),
        ("InputNotFound", "InputError", 3),
        ("ShardUnreadable", "InputError", 3),
        ("TooManyBadRecords", "InputError", 3),
        ("InputChanged", "InputError", 3),
        ("OutputError", "SlimpajamaError", 4),
        ("WorkerDied", "SlimpajamaError", 5),
        ("ConservationError", "SlimpajamaError", 6),
    ],
)
def test_each_error_has_its_parent_and_exit_code(name: str, parent: str, code: int) -> None:
    error = getattr(errors, name)
    assert [base.__name__ for base in error.__bases__] == [parent]
    assert error.exit_code == code


def test_every_error_is_in_the_tree_that_the_module_draws() -> None:
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert classes == set(errors.__all__)
    assert errors.__doc__
    for name in classes:
        assert f" {name} " in errors.__doc__


def ends_of_messages(code: str) -> Iterator[tuple[int, str, str]]:
    """The line of each error of the program that ``code`` makes, and what its message begins and ends with."""
    for node in ast.walk(ast.parse(code)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in errors.__all__
            and node.args
        ):
            message = node.args[0]
            parts = message.values if isinstance(message, ast.JoinedStr) else [message]
            first, last = (
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""
                for part in (parts[0], parts[-1])
            )
            yield node.lineno, first, last


def styled_otherwise(code: str) -> list[int]:
    """The lines of messages that begin with a capital, or end with a full stop."""
    return [
        line
        for line, first, last in ends_of_messages(code)
        if last.endswith(".") or (first[:1].isupper() and first.split()[0] not in NAMES)
    ]


def test_a_message_of_another_style_is_found() -> None:
    assert styled_otherwise('ConfigError("A budget; give one")\nInputError(f"{path} is bad.")\nraise Other("A.")') == [
        1,
        2,
    ]
    assert (
        styled_otherwise('ConfigError("a budget; give one")\nConfigError(f"{path} is bad")\nConfigError("H2O has")')
        == []
    )


def test_all_messages_begin_with_a_small_letter_and_end_without_a_full_stop() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    found = {str(path): lines for path in files if (lines := styled_otherwise(path.read_text(encoding="utf-8")))}
    assert not found
