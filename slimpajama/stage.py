"""One stage of a run: the items that are not done yet go through the engine; each leaves a marker when it is.

An item is not done if its marker is missing or holds another fingerprint, so an edited setting or a replaced shard
redoes exactly what depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from slimpajama.engine import Engine, Item
from slimpajama.workspace import Markers

__all__ = ["StageTimes", "run_stage"]


@dataclass(slots=True)
class StageTimes:
    """Wall seconds, and items run and reused, of each stage so far, for the summary. ``bars`` shows progress."""

    bars: bool
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)


def run_stage(
    name: str,
    items: Sequence[Item],
    function: Callable[[Item], dict[str, Any]],
    *,
    engine: Engine,
    markers: Markers,
    keys: Sequence[str],
    fingerprints: Sequence[str],
    weights: Sequence[int],
    times: StageTimes,
    present: Callable[[Item, dict[str, Any]], bool],
) -> list[dict[str, Any]]:
    """The results of ``function`` for all items, in their order, from markers where they are still valid.

    ``keys``: a name for each item, unique in the stage. ``weights``: bytes each stands for, for the progress bar.
    ``present``: whether the files that an item and its result speak of still lie there; else it is run again.
    """
    began = time.perf_counter()
    results = [markers.result(key, value) for key, value in zip(keys, fingerprints, strict=True)]
    missing = [index for index, result in enumerate(results) if result is None or not present(items[index], result)]
    names = {id(items[index]): keys[index] for index in missing}
    with tqdm(
        total=sum(weights),
        initial=sum(weights) - sum(weights[index] for index in missing),
        desc=name,
        unit="B",
        unit_scale=True,
        disable=not times.bars,
        leave=False,
        smoothing=0.1,
    ) as bar:
        for place, result in engine.map(
            function, [items[index] for index in missing], lambda item: names.get(id(item), name)
        ):
            index = missing[place]
            markers.finish(keys[index], fingerprints[index], result)
            results[index] = result
            bar.update(weights[index])
    times.stages[name] = {
        "seconds": round(time.perf_counter() - began, 3),
        "items": len(items),
        "reused": len(items) - len(missing),
    }
    return [result for result in results if result is not None]
