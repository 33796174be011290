"""Every failure a caller can act on has a class here; the message is one sentence with value, place and remedy.

::

    SlimpajamaError                   exit code
    ├── ConfigError                   2   a setting, recipe or argument is wrong
    ├── InputError                    3
    │   ├── InputNotFound                 no shard where the settings point
    │   ├── ShardUnreadable               a shard is corrupt, truncated or of the wrong shape
    │   ├── TooManyBadRecords             more broken records in a shard than the settings allow
    │   └── InputChanged                  a shard differs from what an earlier stage read
    ├── OutputError                   4   the output cannot be written or is not what it should be
    │   └── WorkspaceLocked               another run is writing there
    ├── WorkerDied                    5   a worker process was killed, also on its second try
    ├── ConservationError             6   documents in and documents out differ: a fault of this program
    ├── DamagedOutput                 7   a finished output is not what was written
    └── TooMuchRemoved                8   a source would lose more of its documents than the settings allow
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "ConservationError",
    "DamagedOutput",
    "InputChanged",
    "InputError",
    "InputNotFound",
    "OutputError",
    "ShardUnreadable",
    "SlimpajamaError",
    "TooManyBadRecords",
    "TooMuchRemoved",
    "WorkerDied",
    "WorkspaceLocked",
]


class SlimpajamaError(Exception):
    """Root of all errors this package raises on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class ConfigError(SlimpajamaError):
    """A setting, a recipe or an argument is wrong; nothing was started."""

    exit_code = 2


class InputError(SlimpajamaError):
    """The input cannot be used as it is."""

    exit_code = 3


class InputNotFound(InputError):
    """There is no shard where the settings point."""


class ShardUnreadable(InputError):
    """A shard is corrupt, truncated or not of the shape its name promises."""


class TooManyBadRecords(InputError):
    """A shard holds more broken records than ``max_bad_fraction`` allows."""


class InputChanged(InputError):
    """A shard is not the one that an earlier stage read."""


class OutputError(SlimpajamaError):
    """The output cannot be written, or what lies there is in the way."""

    exit_code = 4


class WorkspaceLocked(OutputError):
    """Another run holds the output; the message names it."""


class WorkerDied(SlimpajamaError):
    """A worker process was killed or hung while it handled an item, and again when the item was retried."""

    exit_code = 5


class ConservationError(SlimpajamaError):
    """Records read do not equal kept + short + duplicate + bad + contaminated."""

    exit_code = 6


class DamagedOutput(SlimpajamaError):
    """Verifying a finished output found something wrong."""

    exit_code = 7


class TooMuchRemoved(SlimpajamaError):
    """More documents of a source would be removed than ``max_removed_fraction`` allows; no shard was written."""

    exit_code = 8
