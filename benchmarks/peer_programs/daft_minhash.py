"""daft by its tutorial: normalise, ``minhash`` of word 5-grams, bands grouped; components by a union-find.

The tutorial alternates joins until the components settle; a union-find in Python gives the same components in less
time. Bands and rows are those of FineWeb, 14 of 8, rather than the tutorial's 8 of 8 for its much shorter texts.
"""

from __future__ import annotations

import daft
from daft import col
from daft.functions import minhash, normalize

from benchmarks.peer_programs.shards import Request, documents, finish

BANDS, ROWS = 14, 8


def main() -> None:
    """Run daft."""
    request = Request.of_command_line()
    names, texts = zip(*documents(request.folder), strict=True)
    frame = daft.from_pydict({"node": list(range(len(names))), "text": list(texts)})
    normal = normalize(col("text"), remove_punct=True, lowercase=True, nfd_unicode=True, white_space=True)
    hashed = frame.select(
        col("node"), minhash(normal, num_hashes=BANDS * ROWS, ngram_size=5, seed=42, hash_function="xxhash").alias("m")
    ).collect()
    first = list(range(len(names)))

    def root(number: int) -> int:
        while first[number] != number:
            first[number] = first[first[number]]
            number = first[number]
        return number

    for band in range(BANDS):
        bands = hashed.select(col("node"), col("m").slice(band * ROWS, (band + 1) * ROWS).alias("band"))
        groups = bands.groupby("band").agg(col("node").list_agg().alias("nodes"))
        for nodes in groups.where(col("nodes").length() > 1).to_pydict()["nodes"]:
            for node in nodes:
                one, other = root(nodes[0]), root(node)
                first[max(one, other)] = min(one, other)
    survivors = {name: names[root(number)] for number, name in enumerate(names) if root(number) != number}
    finish(request, (name for name in names if name not in survivors), survivors)


if __name__ == "__main__":
    main()
