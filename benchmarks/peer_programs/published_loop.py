"""The published loop: an update of datasketch per shingle, bands in dictionaries, connected components.

The steps of ``to_hash.py``, ``generate_duplicate_pairs.py`` and ``generate_connected_components.py`` of the SlimPajama
scripts in one process; components by a union-find rather than networkit, which takes no time either way.
"""

from __future__ import annotations

from datasketch import MinHash

from benchmarks.peer_programs.shards import Request, documents, finish, published_cleaning

BANDS, ROWS = 9, 13


def main() -> None:
    """Run the loop."""
    request = Request.of_command_line()
    first: list[int] = []
    tables: list[dict[bytes, int]] = [{} for _ in range(BANDS)]
    names = []

    def root(number: int) -> int:
        while first[number] != number:
            first[number] = first[first[number]]
            number = first[number]
        return number

    for number, (name, text) in enumerate(documents(request.folder)):
        names.append(name)
        first.append(number)
        cleaned = published_cleaning(text)
        sketch = MinHash(num_perm=128)
        for start in range(len(cleaned) - 12):
            sketch.update(cleaned[start : start + 13].encode())
        for band, table in enumerate(tables):
            key = sketch.hashvalues[band * ROWS : (band + 1) * ROWS].byteswap().tobytes()
            one, other = root(table.setdefault(key, number)), root(number)
            first[max(one, other)] = min(one, other)
    survivors = {name: names[root(number)] for number, name in enumerate(names) if root(number) != number}
    finish(request, (name for name in names if name not in survivors), survivors)


if __name__ == "__main__":
    main()
