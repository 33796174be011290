"""datatrove's four stages of MinHash with their own defaults: word 5-grams of the simplified text, 14 bands of 8."""

from __future__ import annotations

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.typeshelper import Languages

from benchmarks.peer_programs.shards import Request, documents, finish


def main() -> None:
    """Run the four stages, one after the other."""
    request = Request.of_command_line()
    config = MinhashConfig()
    work = request.work
    reader = JsonlReader(str(request.folder), glob_pattern="**/*.jsonl.zst")
    for number, pipeline in enumerate(
        (
            [reader, MinhashDedupSignature(str(work / "signatures"), config, language=Languages.english)],
            [MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets"), config=config)],
            [MinhashDedupCluster(str(work / "buckets"), str(work / "removals"), config=config)],
            [
                reader,
                MinhashDedupFilter(str(work / "removals")),
                JsonlWriter(str(work / "kept"), output_filename="${rank}.jsonl.zst", compression="zstd"),
            ],
        )
    ):
        tasks = config.num_buckets if number == 1 else 1
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(work / f"logs{number}")).run()
    finish(request, (name for name, _ in documents(work / "kept")))


if __name__ == "__main__":
    main()
