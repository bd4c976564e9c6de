"""What a run's records say: every result of `analysis` that the report shows, computed when it is first asked for.

Figures and tables share one of these, so that they cannot disagree, and whoever asks for one table waits for no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from harness.analysis.agreement import agreements
from harness.analysis.anytime import Replicates, replicates
from harness.analysis.averaged import averaged
from harness.analysis.cells import arms_in_order, distinct, searched_together
from harness.analysis.comparison import differences
from harness.analysis.configs import Searched, searched_configs, shown
from harness.analysis.confirmed import confirmed_rows, teachers
from harness.analysis.curse import winners_curse
from harness.analysis.front_certainty import with_front_probability
from harness.analysis.health import Check, health
from harness.analysis.hypervolume import Reference, reference_of
from harness.analysis.importance import importances
from harness.analysis.noise import noise_floors
from harness.analysis.pairwise import pairwise
from harness.analysis.pareto import Direction, objectives_of, pareto_front
from harness.analysis.searched_space import placed
from harness.analysis.space_warnings import dead_parts, optima_at_edges
from harness.analysis.stopped import given_up
from harness.report.figures.front import SIZES
from harness.report.palette import Look, looks
from harness.store.query import Run


@dataclass(frozen=True)
class Findings:
    """One run, read; and what follows from it."""

    run: Run

    @property
    def name(self) -> str:
        """The study's name; the folder's where it has none."""
        return str(self.run.study.get("name", self.run.folder.name))

    @cached_property
    def trials(self) -> pd.DataFrame:
        """Every trial, with labels that name one thing each."""
        return distinct(self.run.trials)

    @cached_property
    def together(self) -> pd.DataFrame:
        """The trials, with one student for all that one search over students tried."""
        return searched_together(self.trials)

    @cached_property
    def followed(self) -> pd.DataFrame:
        """The trials whose epochs were read: all, or a sample where they are very many."""
        if self.run.sampled is None:
            return self.together
        return self.together[self.together["trial_id"].isin(self.run.epochs["trial_id"].unique())]

    @cached_property
    def look(self) -> Mapping[str, Look]:
        """How each arm looks, in the arms' order."""
        return looks(arms_in_order(self.trials[self.trials["purpose"] != "teacher"]))

    @cached_property
    def searched(self) -> pd.DataFrame:
        """What the search saw, a row a config."""
        return self._searched.configs

    @cached_property
    def searched_together(self) -> pd.DataFrame:
        """The same, with one student for all that one search over students tried."""
        return self._searched_together.configs

    @cached_property
    def _searched(self) -> Searched:
        return searched_configs(self.trials)

    @cached_property
    def _searched_together(self) -> Searched:
        return self._searched if self.together is self.trials else searched_configs(self.together)

    @cached_property
    def replicates(self) -> Replicates:
        """What the searches found, seed by seed."""
        return replicates(self.trials, self._searched)

    @cached_property
    def replicates_together(self) -> Replicates:
        """The same, with one student for all that one search over students tried."""
        return self.replicates if self.together is self.trials else replicates(self.together, self._searched_together)

    @cached_property
    def shown(self) -> pd.DataFrame:
        """The configs of the search that figures and the register show one by one."""
        return shown(self.searched)

    @cached_property
    def confirmed(self) -> pd.DataFrame:
        """What was confirmed, a row a config, best first."""
        return confirmed_rows(self.trials)

    @cached_property
    def compared(self) -> pd.DataFrame:
        """Each arm against the baselines, student by student."""
        return differences(self.confirmed)

    @cached_property
    def means(self) -> pd.DataFrame:
        """Each arm against the baselines, averaged over students."""
        return averaged(self.confirmed, self.compared)

    @cached_property
    def every_difference(self) -> pd.DataFrame:
        """Both kinds of comparison in one table."""
        return pd.concat([self.compared, self.means]) if len(self.means) else self.compared

    @property
    def objectives(self) -> dict[str, Direction]:
        """What the study asks for."""
        return objectives_of(self.run.study, ["accuracy", "params", "macs", "latency"])

    @property
    def size(self) -> str:
        """The size that the study minimises."""
        return next(name for name in self.objectives if name in SIZES)

    @cached_property
    def front(self) -> pd.DataFrame:
        """The front in the study's objectives."""
        return pareto_front(self.confirmed.dropna(subset=list(self.objectives)), self.objectives)

    def front_against(self, size: str) -> pd.DataFrame:
        """The front of accuracy against any size, which the study may not have asked for."""
        return pareto_front(self.confirmed.dropna(subset=[size]), {"accuracy": "max", size: "min"})

    @property
    def sizes(self) -> list[str]:
        """The sizes that are known, the study's own first."""
        known = [name for name in SIZES if any(rows[name].notna().any() for rows in (self.confirmed, self.searched))]
        return [self.size, *(name for name in known if name != self.size)]

    @cached_property
    def certain(self) -> pd.DataFrame:
        """The confirmed rows with their probability of standing on the front."""
        return with_front_probability(self.confirmed, self.objectives)

    @cached_property
    def reference(self) -> Reference | None:
        """Where the study measures its hypervolume from."""
        return reference_of(self.run.study, self.objectives)

    @cached_property
    def floors(self) -> pd.DataFrame:
        """What seeds alone do."""
        return noise_floors(self.confirmed, self.searched)

    @cached_property
    def pairwise(self) -> pd.DataFrame:
        """Every arm against every other."""
        return pairwise(self.confirmed)

    @cached_property
    def curse(self) -> pd.DataFrame:
        """What each finalist was worth to the search, on fresh seeds and on test."""
        return winners_curse(self.confirmed)

    @cached_property
    def places(self) -> pd.DataFrame:
        """Where each config lay in the declared space."""
        return placed(self.searched_together, self.run.study)

    @cached_property
    def importances(self) -> pd.DataFrame:
        """Which settings decided."""
        return importances(self.places, self.run.study)

    @cached_property
    def checks(self) -> list[Check]:
        """What a careful reader would look for."""
        return health(
            self.trials,
            self.searched,
            self.confirmed,
            self.teachers,
            optima_at_edges(self.places, self.run.study),
            dead_parts(self.places, self.run.study),
            agreements(self.followed, self.run.epochs),
        )

    @cached_property
    def teachers(self) -> pd.DataFrame:
        """The teachers, on validation."""
        return teachers(self.trials)

    @cached_property
    def stopped(self) -> pd.DataFrame:
        """Where the search gave configs up."""
        return given_up(self.together, self._searched_together)
