"""Explains the verdict on one document: what stays for it, how alike the two are, and by what way they are linked."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import orjson

from slimpajama.dedup.cluster_path import path_between
from slimpajama.dedup.decision_tables import Decision, OneScope
from slimpajama.dedup.files.matches_table import HeldItem, held_items
from slimpajama.errors import ConfigError, InputError
from slimpajama.evidence.opened_output import Evidence, Pair, open_evidence
from slimpajama.storage.paths import opened
from slimpajama.storage.reading import reading

__all__ = ["Explanation", "PathStep", "explain"]

MOST_HOPS = 20
"""A longer way is shown without the similarity of each hop."""


@dataclass(frozen=True, slots=True)
class PathStep:
    """A document on the way to the survivor, and its Jaccard similarity with the one before it, where that is known."""

    document: Decision
    jaccard: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All about one document.

    ``survivor_global`` and ``survivor_local``: what stays for it, where it was removed. ``pairs``: the document beside
    each survivor, once where both scopes have the same. ``path``: links from the document to the global survivor, where
    no band of the two agrees. ``members``: of its global cluster, as many as were asked for. ``reason``: of a bad
    record. ``evaluation_items``: that it holds, if the run looked for any. ``bands``: how many the run has.
    ``namesakes``: how many more records hold the id that was asked for. ``problem``: why texts could not be read;
    ``pairs`` is empty then.
    """

    document: Decision
    survivor_global: Decision | None
    survivor_local: Decision | None
    pairs: tuple[Pair, ...]
    path: tuple[PathStep, ...]
    members: tuple[Decision, ...]
    reason: str
    evaluation_items: tuple[HeldItem, ...]
    bands: int
    namesakes: int
    problem: str

    def survivor(self, scope: OneScope) -> Decision | None:
        """What stays for it in a scope."""
        return self.survivor_global if scope == "global" else self.survivor_local


def explain(output: str | Path, document: str | int, *, members: int = 0) -> Explanation:
    """Explain the verdict on a document of the finished deduplication in ``output``.

    ``document``: an id (decimal or ``0x…``), ``shard:line`` with lines counted from 1, ``shard@position``, or the id
    that the record itself holds, if the run had ``id_field``. ``members``: how many documents of its global cluster are
    listed; they are searched for in all decisions. Raises :class:`~slimpajama.InputNotFound` where there is no finished
    deduplication, and :class:`~slimpajama.ConfigError` where no document is meant.
    """
    if members < 0:
        raise ConfigError(f"members is {members}; give 0 or more")
    evidence = open_evidence(output)
    decision, *others = evidence.find(str(document))
    globally, locally = evidence.survivor(decision, "global"), evidence.survivor(decision, "local")
    pairs, problem = _pairs(evidence, decision, globally, locally)
    cluster = decision.cluster_global
    return Explanation(
        document=decision,
        survivor_global=globally,
        survivor_local=locally,
        pairs=pairs,
        path=_path(evidence, pairs),
        members=tuple(evidence.tables.members("global", cluster, members)) if members and cluster is not None else (),
        reason=_reason(evidence, decision) if decision.status == "bad" else "",
        evaluation_items=held_items(evidence.layout, decision.id),
        bands=evidence.params.bands,
        namesakes=len(others),
        problem=problem,
    )


def _pairs(
    evidence: Evidence, decision: Decision, survivor_global: Decision | None, survivor_local: Decision | None
) -> tuple[tuple[Pair, ...], str]:
    found: list[Pair] = []
    wanted: list[tuple[OneScope, Decision]] = []
    if survivor_global is not None:
        wanted.append(("global", survivor_global))
    if survivor_local is not None and survivor_local != survivor_global:
        wanted.append(("local", survivor_local))
    try:
        own = evidence.text(decision) if wanted else ""
        for scope, survivor in wanted:
            found.append(evidence.pair_of_texts(scope, decision, survivor, own, evidence.text(survivor)))
    except InputError as fault:
        return (), str(fault)
    return tuple(found), ""


def _path(evidence: Evidence, pairs: tuple[Pair, ...]) -> tuple[PathStep, ...]:
    """From the document to the global survivor, where the two agree in no band."""
    pair = next((one for one in pairs if one.scope == "global"), None)
    if pair is None or pair.bands or pair.document_text == pair.survivor_text:
        return ()
    ids = path_between(evidence.layout, pair.document.id, pair.survivor.id)
    steps: list[PathStep] = []
    for document in ids:
        decision = evidence.decision(document)
        jaccard = None
        if steps and len(ids) <= MOST_HOPS:
            try:
                jaccard = evidence.compared("global", steps[-1].document, decision).jaccard
            except InputError:
                jaccard = None
        steps.append(PathStep(decision, jaccard))
    return tuple(steps)


def _reason(evidence: Evidence, decision: Decision) -> str:
    """Why a record is bad, as its quarantine says."""
    part = evidence.tables.part(decision.shard, decision.position)
    if part is None:
        return ""
    path = evidence.layout.quarantine(part.bundle)
    with reading(path), contextlib.suppress(FileNotFoundError), opened(path) as lines:
        for line in lines:
            record = orjson.loads(line)
            if record["shard"] == decision.shard and record["position"] == decision.position:
                return str(record["reason"])
    return ""
