"""The tree of errors and the exit codes that scripts rely on."""

from __future__ import annotations

import inspect

import pytest

from slimpajama import errors


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
