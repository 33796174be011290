"""The measures of a model as a table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimpajama.printable import printable
from slimpajama.text_table import aligned

if TYPE_CHECKING:
    from slimpajama.study.compression.measuring import LayerMeasures, ModelMeasures

__all__ = ["measures_text"]

_HEADING = (
    "source",
    "layer",
    "texts",
    "tokens/text",
    "MNN",
    "nuclear norm/token",
    "entropy",
    "eff. rank",
)


def measures_text(found: ModelMeasures) -> str:
    """One row for each source and layer."""
    with_difference = any(row.diff_effective_rank is not None for row in found.rows)
    lines = [(*_HEADING, *(("diff-eRank",) if with_difference else ()))]
    lines += [_cells(row, with_difference) for row in found.rows]
    why = ", as many as the model takes" if found.max_tokens == found.model_max_tokens else ""
    return (
        f"{printable(found.model)}: {found.layers} layers of width {found.width:,}, texts of at most "
        f"{found.max_tokens:,} tokens{why}\n{aligned(lines)}"
    )


def _cells(row: LayerMeasures, with_difference: bool) -> tuple[str, ...]:
    difference = "-" if row.diff_effective_rank is None else f"{row.diff_effective_rank:.2f}"
    return (
        printable(row.source),
        str(row.layer),
        f"{row.texts:,}",
        f"{row.tokens / row.texts:,.0f}",
        f"{row.matrix_nuclear_norm:.4f}",
        f"{row.nuclear_norm:.4f}",
        f"{row.matrix_entropy:.4f}",
        f"{row.effective_rank:.2f}",
        *((difference,) if with_difference else ()),
    )
