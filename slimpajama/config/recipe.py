"""A recipe: what each source gives, a token budget, and how sequences are cut; one YAML file each.

Three things may say what a source gives: its weight, a rule that turns the tokens there are into weights, and for
single sources the epochs that are wanted of them. A recipe of phases says so for each phase. What this comes to in
sequences is known when the token store is there (:mod:`slimpajama.mixture.plan`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from slimpajama.config.column import column_path
from slimpajama.config.loading import checked, read_yaml, without_empty
from slimpajama.config.part import overlapping, ranges_of, without_overlap
from slimpajama.config.weights import (
    MOST_TOKENS,
    MaxEpochs,
    Rule,
    Tokens,
    Weight,
    WeightsAre,
    budget_of,
    exact,
    parse_tokens,
    shares_of,
)

__all__ = ["Proportions", "Recipe", "Repeat", "Tokens", "load_recipe", "parse_tokens"]

MOST_EPOCHS = 4
"""How often a source may be gone through where nothing is said; up to four epochs are nearly as good as new text."""

Named = TypeVar("Named", bound="Proportions")
Given = TypeVar("Given")


def _text_of_number(value: object) -> object:
    """YAML reads ``1:`` as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Proportions(BaseModel):
    """What each source gives to a mixture or to one phase of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="folder of the mixture, or name of a phase")
    weights: dict[str, Weight] = Field(
        default={}, description="by source: percent of the tokens (sum 100) or fractions of them (sum 1)"
    )
    weights_are: WeightsAre = Field(
        default="shares", description="`ratio`: numbers of any sum; `tokens`: token counts, such as 2M"
    )
    rule: Rule = Field(
        default=None,
        description="instead of weights: `proportional` to the tokens there are, `{temperature: 0.7}` as that power of "
        "them, or `unimax`: the same for each source, none above its `max_epochs`",
    )
    sources: tuple[str, ...] = Field(default=(), description="sources that the rule is for; default: all there are")
    epochs: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default={}, description="by source: take it so often; the others share what is left of the budget"
    )
    tokens: Tokens | None = Field(
        default=None,
        description="budget of the training split; default: the sum of weights that are tokens, or what `epochs` come "
        "to where they are all there is",
    )

    @model_validator(mode="after")
    def _says_what_sources_give(self) -> Proportions:
        if self.weights and self.rule:
            raise ValueError("weights and rule are both given; leave one of them out")
        if self.sources and not self.rule:
            raise ValueError("sources are those that a rule is for, and there is no rule; leave sources or give a rule")
        both = next((name for name in self.epochs if name in self.weights or name in self.sources), None)
        if both is not None:
            raise ValueError(f"{both!r} is in epochs and in {'weights' if self.weights else 'sources'}; leave one out")
        if self.weights:
            shares_of(self.weights, self.weights_are)
        return self

    @property
    def says_nothing(self) -> bool:
        """Whether nothing says what any source gives."""
        return not (self.weights or self.rule or self.epochs)

    @property
    def budget(self) -> int | None:
        """The tokens asked for, ``None`` where that depends on what the sources have."""
        if self.tokens is None and self.weights_are == "tokens" and self.weights and not self.epochs:
            return budget_of(self.weights)
        return self.tokens

    @property
    def named(self) -> tuple[str, ...]:
        """The sources that are named and to give something, in the order written."""
        return (*self.shares(), *self.sources, *self.epochs)

    def shares(self) -> dict[str, Fraction]:
        """The exact share that each weight above 0 stands for, in the order written; they sum to 1."""
        return shares_of(self.weights, self.weights_are) if self.weights else {}

    def with_names(self: Named, renamed: Callable[[str], str]) -> Named:
        """The same with other names of its sources. Raises :class:`ValueError` where two become one."""
        return self.model_copy(
            update={
                "weights": _renamed(self.weights, renamed),
                "epochs": _renamed(self.epochs, renamed),
                "sources": tuple(map(renamed, self.sources)),
            }
        )


class Repeat(BaseModel):
    """How often a document comes in an epoch of its source, by the documents that it stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Literal["duplicates"] = Field(
        default="duplicates", description="documents of its cluster in the recipe's scope"
    )
    buckets: dict[Annotated[str, BeforeValidator(_text_of_number)], Annotated[int, Field(ge=1, le=1000)]] = Field(
        description="by range of duplicates (`1`, `2-5`, `101-`), how often a document comes"
    )

    @model_validator(mode="after")
    def _covers_all(self) -> Repeat:
        ranges_of(self.buckets)
        return self


class Recipe(Proportions):
    """What one mixture is made of."""

    description: str = Field(default="", description="a sentence for the dataset card")
    max_epochs: MaxEpochs = Field(
        default=None,
        description="refuse to go through a source more often, in all phases together: a number, or a mapping of "
        "sources to numbers with `default` for the others; default: 4, and 1 for a recipe of phases",
    )
    phases: tuple[Proportions, ...] = Field(
        default=(),
        description="phases that follow each other, each with a name, tokens, and weights, a rule or epochs; no "
        "sequence comes again in a later one",
    )
    repeat_phases: bool = Field(
        default=False, description="let each phase begin at the beginning of its sources: sequences come again"
    )
    split_by: dict[str, str] = Field(
        default={},
        description="by source: the metadata column that parts of it are named by, as `github/python` with "
        "`{github: meta.language}`",
    )
    repeat: Repeat | None = Field(
        default=None, description="repeat documents within an epoch by their duplicates; default: each comes once"
    )
    sequence_length: int = Field(default=2048, ge=2, le=1 << 20, description="tokens of a sequence")
    extra_token: bool = Field(
        default=False, description="one token more in each sequence, for trainers whose labels are the inputs shifted"
    )
    packing: Literal["concat", "best-fit"] = Field(
        default="concat",
        description="`concat` joins documents and cuts; `best-fit` cuts only what is longer than a sequence, and pads",
    )
    provenance: bool = Field(
        default=False, description="tell the documents of each sequence of train, and how many tokens of each"
    )
    seed: int = Field(default=1, ge=0, lt=1 << 32, description="seed of the order within each file")
    scope: Literal["global", "local"] = Field(default="global", description="documents kept globally, or locally")
    file_tokens: Tokens = Field(default=1 << 26, description="tokens of an output file, about")

    @field_validator("split_by")
    @classmethod
    def _names_columns(cls, values: dict[str, str]) -> dict[str, str]:
        return {source: column_path(path) for source, path in values.items()}

    @model_serializer(mode="wrap")
    def _without_empty_split(self, written: SerializerFunctionWrapHandler) -> dict[str, object]:
        """A recipe without parts by value is written down as it was before there were any."""
        return without_empty(written(self), "split_by")

    @model_validator(mode="after")
    def _can_be_planned(self) -> Recipe:
        if self.phases:
            self._check_phases()
        elif self.repeat_phases:
            raise ValueError("repeat_phases is for a recipe of phases, and there are none; leave it out")
        elif self.says_nothing:
            raise ValueError("nothing says what the sources give; write weights, a rule, epochs or phases")
        for phase in self.steps():
            place = f"phase {phase.name}: " if self.phases else ""
            if phase.budget is None and (phase.weights or phase.rule):
                raise ValueError(f"{place}tokens must be given, such as 2M, as weights and rules share out a budget")
            if phase.budget is not None and phase.budget < self.tokens_per_sequence:
                raise ValueError(
                    f"{place}{phase.budget:,} tokens do not fill one sequence of {self.tokens_per_sequence:,}; raise "
                    "tokens"
                )
            if phase.budget is not None and phase.budget > MOST_TOKENS:
                raise ValueError(f"{place}the budget must be at most {MOST_TOKENS:,} tokens (given: {phase.budget:,})")
        if isinstance(self.max_epochs, dict):
            for phase in self.steps():
                self._check_limits(phase.epochs, self.max_epochs)
        both = overlapping(name for name in self.sources_named)
        if both is not None:
            raise ValueError(f"{both[0]!r} and {both[1]!r} have documents in common; {without_overlap(*both)}")
        return self

    @property
    def tokens_per_sequence(self) -> int:
        """With the extra one."""
        return self.sequence_length + self.extra_token

    def _check_phases(self) -> None:
        if not self.says_nothing:
            raise ValueError(
                "weights, rule and epochs stand in each phase, not beside phases; move them into the phases"
            )
        names = [phase.name for phase in self.phases]
        for phase in self.phases:
            if names.count(phase.name) > 1:
                raise ValueError(f"two phases are named {phase.name!r}; give each a name of its own")
            if phase.says_nothing:
                raise ValueError(
                    f"phase {phase.name}: nothing says what the sources give; write weights, a rule or epochs"
                )
            if self.tokens is not None and phase.budget is None:
                raise ValueError(
                    f"phase {phase.name} has no tokens, so the {self.tokens:,} of the recipe cannot be shared out "
                    "among the phases; give it tokens"
                )

    @staticmethod
    def _check_limits(epochs: Mapping[str, float], limits: Mapping[str, float]) -> None:
        for source, wanted in epochs.items():
            if wanted > limits.get(source, wanted):
                raise ValueError(
                    f"epochs asks for {wanted:g} of {source!r}, but max_epochs allows {limits[source]:g}; change one"
                )

    @property
    def budget(self) -> int | None:
        """The tokens asked for, of all phases together; ``None`` where that depends on what the sources have."""
        if not self.phases or self.tokens is not None:
            return super().budget
        budgets = [phase.budget for phase in self.phases]
        return None if None in budgets else sum(budget or 0 for budget in budgets)

    def steps(self) -> tuple[Proportions, ...]:
        """The phases, or the recipe itself where it has none. ``tokens`` of the recipe is shared out among them."""
        if not self.phases:
            return (self,)
        if self.tokens is None:
            return self.phases
        total = sum(phase.budget or 0 for phase in self.phases)
        ends, asked = [], 0
        for phase in self.phases:
            asked += phase.budget or 0
            ends.append(self.tokens * asked // total)
        starts = [0, *ends[:-1]]
        return tuple(
            phase.model_copy(update={"tokens": end - start})
            for phase, start, end in zip(self.phases, starts, ends, strict=True)
        )

    def most_epochs(self, source: str) -> Fraction:
        """How often a source may be gone through, in all phases together or, if they repeat, in each."""
        default = 1 if self.phases and not self.repeat_phases else MOST_EPOCHS
        if isinstance(self.max_epochs, dict):
            return exact(self.max_epochs.get(source, self.max_epochs.get("default", default)))
        return exact(default if self.max_epochs is None else self.max_epochs)

    @property
    def sources_named(self) -> tuple[str, ...]:
        """All sources that the recipe or its phases name and that give something, each once."""
        return tuple(dict.fromkeys(name for step in self.steps() for name in step.named))

    @property
    def all_names(self) -> tuple[str, ...]:
        """All sources and parts that the recipe or its phases name, each once, those of weight 0 among them."""
        steps = self.steps()
        return tuple(dict.fromkeys(name for step in steps for name in (*step.weights, *step.sources, *step.epochs)))

    def with_names(self, renamed: Callable[[str], str]) -> Recipe:
        """The same with other names of its sources. Raises :class:`ValueError` where two become one."""
        recipe = super().with_names(renamed)
        limits = self.max_epochs
        if isinstance(limits, dict):
            limits = _renamed(limits, lambda name: name if name == "default" else renamed(name))
        phases = tuple(phase.with_names(renamed) for phase in self.phases)
        split_by = _renamed(self.split_by, renamed)
        return recipe.model_copy(update={"max_epochs": limits, "phases": phases, "split_by": split_by})


def _renamed(values: Mapping[str, Given], renamed: Callable[[str], str]) -> dict[str, Given]:
    found: dict[str, str] = {}
    for name in values:
        other = found.setdefault(renamed(name), name)
        if other != name:
            raise ValueError(f"{other!r} and {name!r} are the same source, {renamed(name)!r}; leave one out")
    return {name: values[given] for name, given in found.items()}


def load_recipe(file: Path, **overrides: Any) -> Recipe:
    """The recipe of a YAML file, with those ``overrides`` that are not ``None``. Raises :class:`ConfigError`."""
    values = read_yaml(file, "recipe")
    if isinstance(values, dict):
        values |= {key: value for key, value in overrides.items() if value is not None}
    return checked(Recipe, values, str(file))
