"""rensa by its README: a deduplicator that is given every document in turn, ``characters`` or ``words``."""

from __future__ import annotations

from collections.abc import Iterator

from rensa import RMinHashDeduplicator

from benchmarks.peer_programs.shards import TOKENS, Request, documents, finish


def main() -> None:
    """Run rensa."""
    request = Request.of_command_line()
    tokens = TOKENS[request.variant]
    deduplicator = RMinHashDeduplicator(threshold=0.8, num_perm=128, use_lsh=True)
    names: list[str] = []

    def pairs() -> Iterator[tuple[str, list[str]]]:
        for name, text in documents(request.folder):
            names.append(name)
            yield name, tokens(text)

    keep = deduplicator.add_pairs(pairs())
    finish(request, (name for name, kept in zip(names, keep, strict=True) if kept))


if __name__ == "__main__":
    main()
