"""data-juicer's MinHash operator on one core: 13 characters in lower case without punctuation, 9 bands of 13."""

from __future__ import annotations

from data_juicer.core.data import NestedDataset
from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator

from benchmarks.peer_programs.shards import Request, documents, finish


def main() -> None:
    """Run the operator as its executor does: a hash of each sample, then one pass over the hashes."""
    request = Request.of_command_line()
    operator = DocumentMinhashDeduplicator(
        tokenization="character",
        window_size=13,
        lowercase=True,
        ignore_pattern=r"\p{P}",
        num_permutations=117,
        num_bands=9,
        num_rows_per_band=13,
    )
    names, texts = zip(*documents(request.folder), strict=True)
    data = NestedDataset.from_dict({"id": list(names), "text": list(texts)})
    hashed = data.map(operator.compute_hash, num_proc=1)
    kept, _ = operator.process(hashed)
    finish(request, kept["id"])


if __name__ == "__main__":
    main()
