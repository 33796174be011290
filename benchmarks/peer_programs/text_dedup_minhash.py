"""text-dedup's own command for MinHash with its own defaults: word 5-grams, 250 permutations, threshold 0.7."""

from __future__ import annotations

import pickle
import subprocess
import sys

from datasets import Dataset

from benchmarks.peer_programs.shards import Request, documents, finish


def main() -> None:
    """Run its command, and read what it wrote."""
    request = Request.of_command_line()
    kept = request.work / "kept"
    command = [sys.executable, "-m", "text_dedup.minhash", "--path", "json", "--split", "train", "--num_proc", "1"]
    command += ["--data_files", str(request.folder / "**" / "*.jsonl.zst"), "--column", "text", "--output", str(kept)]
    command += ["--cache_dir", str(request.work / "cache"), "--debug"]
    subprocess.run(command, check=True)
    names = [name for name, _ in documents(request.folder)]
    with (kept / "uf.pkl").open("rb") as file:
        parents = pickle.load(file).parent  # noqa: S301 - written by the command above
    roots = {number: root(parents, number) for number in parents}
    survivors = {names[number]: names[one] for number, one in roots.items() if number != one}
    staying = Dataset.load_from_disk(str(kept))["id"]
    if [name for name in names if name not in survivors] != list(staying):
        raise ValueError("what text-dedup kept is not what its union-find says")
    finish(request, staying, survivors)


def root(parents: dict[int, int], number: int) -> int:
    """The end of a path through the union-find."""
    while parents[number] != number:
        number = parents[number]
    return number


if __name__ == "__main__":
    main()
