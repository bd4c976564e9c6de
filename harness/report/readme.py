"""The leaderboard as Markdown: what was found, how sure it is, and how to repeat it, without any script."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote as shell_quoted
from urllib.parse import quote as url_quoted

import pandas as pd

from harness.analysis.averaged import averaged
from harness.analysis.cells import distinct
from harness.analysis.comparability import Lane
from harness.analysis.comparison import answer, differences, gap, gap_in_words
from harness.analysis.confirmed import confirmed_rows
from harness.analysis.wording import count, counted, duration, percent, plus_minus, points
from harness.literal import markdown, printable
from harness.report.content import optional
from harness.report.record import Board, PublishedStudy, Record
from harness.store.verified import Verification

HEAD = """# What was found

Written by `harness publish` from the records in this folder, and by nobody's hand. Findings in words, what did not
work among them: [LOG.md](LOG.md). Every row to sort, filter and compare: [index.html](index.html), one file to
download and open. For machines: [leaderboard.json](leaderboard.json).

**How sure it is.** An accuracy is the mean on the test split over fresh seeds ± half its 95 % t interval; the search
that chose a row never saw that split. Rows that share a rank (=) cannot be told apart from one another (two-sided t at
.05, paired over common seeds, uncorrected, or closer than a standard error of the pooled spread); rows of different
ranks may be as hard to tell apart, which `harness compare` tests. *Looks* is how often the test split was read for a
seed of the row, `harness verify` aside: after the first, somebody may have chosen by it. *Tuned* is what its arm's
search took for this student: trials and their training time, of which trials that trained in one pack share that pack's
equally, whatever their methods cost. ◆ marks the front of accuracy against parameters. *Verified* is its verifier's
word: at level 0 the record is whole and consistent, at 1 stored students were scored again, at 2 seeds were trained
again; drift is what was found minus what is claimed, in points.

**How to repeat it.** In a checkout, with `make setup` done:

```sh
harness verify                           # every file, record and number here; needs no torch
harness verify --level 1                 # and scores every stored student on the test split again
harness verify --row ROW --level 2       # and trains seeds of a row again
harness compare ROW ROW                  # two rows, with their paired test
harness export TRIAL                     # a student with its model card, as safetensors and ONNX
```
"""
NOTHING = "Nothing has been published yet: `harness publish --study NAME` does, once a run has ended.\n"


def readme(record: Record) -> str:
    """The whole page."""
    boards = record.boards()
    studies = ["\n".join(_study(study)) for study in record.studies] or [NOTHING]
    tables = ["\n".join(_board(board, record)) for board in boards]
    return "\n".join([HEAD, *studies, *(["# Leaderboard\n\n" + _SAID_OF_LANES] if boards else []), *tables])


_SAID_OF_LANES = """Rows stand in one table (a lane) where nothing breaks their comparison: the same images, cut and
augmentation, as many test images, the same length of training and the same teacher's weights; a row without a teacher
stands in the lane of each. `harness diff ROW ROW` says in what two rows differ.
"""


def _study(study: PublishedStudy) -> Iterator[str]:
    name, run = study.name, study.run
    last = run.trials.sort_values("attempt", kind="stable").drop_duplicates("trial_id", keep="last")
    confirmed = confirmed_rows(distinct(last.sort_values(["finished_at", "trial_id"])))
    compared = differences(confirmed)
    yield f"## {markdown(name)}\n"
    yield f"> {markdown(' '.join(str(run.study.get('question', '')).split()))}\n"
    for sentence in answer(confirmed, compared, averaged(confirmed, compared)):
        yield f"- {markdown(sentence)}"
    yield f"- {markdown(gap_in_words(gap(confirmed)))}\n"
    yield f"{markdown(_cost(run.trials))}, published {study.seal.published}.\n"
    files = ("study.yaml", "report.html", "trials.parquet", "epochs.parquet", "provenance.json")
    yield " · ".join(f"[{file}]({url_quoted(name)}/{file})" for file in files) + "\n"
    again = shell_quoted(f"reports/{printable(name)}/{printable(name)}.yaml")
    yield f"Again from the beginning: `harness search --study {again} --runs again`\n"


def _cost(trials: pd.DataFrame) -> str:
    machines = sorted({origin["machine"] for origin in trials["provenance"] if isinstance(origin, dict)})
    last = trials.sort_values("attempt", kind="stable").drop_duplicates("trial_id", keep="last")
    lost = int(last["status"].isin(["failed", "diverged"]).sum())
    spent = duration(float(trials["train_seconds"].sum()))
    return f"{counted(len(last), 'trial')} ({lost} failed or diverged), {spent} of training on {', '.join(machines)}"


COLUMNS = ("rank", "", "student", "arm", "test, %", "seeds", "params", "MACs", "tuned", "looks", "verified", "row")
_NUMBERS = {"rank", "test, %", "seeds", "params", "MACs", "looks"}


def _board(board: Board, record: Record) -> Iterator[str]:
    several = board.rows["study"].nunique() > 1
    columns = [*COLUMNS[:4], *(["study"] if several else []), *COLUMNS[4:]]
    yield f"## {markdown(lane_title(board.lane))}\n"
    yield "| " + " | ".join(columns) + " |"
    yield "| " + " | ".join("--:" if name in _NUMBERS else ":--" for name in columns) + " |"
    shared = board.rows["rank"].value_counts()
    for _, row in board.rows.iterrows():
        mark = "=" if int(shared[row["rank"]]) > 1 else ""
        cells = [
            f"{row['rank']}{mark}",
            "◆" if row["on_front"] else "",
            markdown(row["student"]),
            markdown(row["arm"]),
            *([markdown(row["study"])] if several else []),
            f"{percent(row['accuracy'])} {plus_minus(row['low'], row['high'])}",
            f"{row['n']}" + (f" of {row['n'] + row['lost']}" if row["lost"] else ""),
            count(row["params"]),
            count(row["macs"]),
            f"{row['tuning_trials']}, {duration(row['tuning_seconds'])}",
            str(row["looks"]),
            markdown(verified_in_words(record.verified(row), row["n"] + row["lost"])),
            f"`{row['config_id']}`",
        ]
        yield "| " + " | ".join(cells) + " |"
    yield f"\n{counted(len(board.rows), 'row')} in lane {board.lane.id}.\n"


def lane_title(lane: Lane) -> str:
    """What the rows of a lane share, in words."""
    key = lane.key
    teacher = (
        f", teacher {optional(key['teacher'])} ({str(key['teacher_digest'])[:8]})" if key["teacher_digest"] else ""
    )
    data = str(key["data_fingerprint"])[:12] or "of unknown content"
    return f"{key['dataset']}, {key['epochs']} epochs{teacher}, data {data}, {key['test_images']} test images"


def verified_in_words(found: Verification | None, seeds: int) -> str:
    """`level 1 (2 of 5), 2026-11-27, drift 0`, or that it did not hold; `seeds` are the row's."""
    if found is None:
        return "not yet"
    drift = "" if found.drift is None else f", drift {points(found.drift)}"
    of = f" ({len(found.seeds)} of {seeds})" if found.level else ""
    return f"{'level' if found.holds else 'REFUSED at level'} {found.level}{of}, {found.date}{drift}"
