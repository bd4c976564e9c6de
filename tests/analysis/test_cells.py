"""Labels that name one thing each: what differs is kept apart, whatever it is called."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.analysis.averaged import averaged
from harness.analysis.cells import Pair, distinct, pairs
from harness.analysis.comparison import answer, differences
from harness.analysis.configs import search_configs
from harness.analysis.confirmed import confirmed_rows, teachers
from harness.analysis.curves import search_history
from harness.record import TrialRecord
from tests.records import PROVENANCE, confirmations, frame, trial

TEACHERS = {"3fa9" + "0" * 12: 0.02, "b711" + "0" * 12: -0.02}
"""Id → what a student gains with this teacher; both are resnet20-w16."""
SPREAD = {0: 0.90, 1: 0.91, 2: 0.93}


def two_teachers() -> list[TrialRecord]:
    found = [trial(arm="scratch", teacher=None), *confirmations(SPREAD, arm="scratch", teacher=None)]
    for id, gain in TEACHERS.items():
        of = trial(purpose="teacher", arm="teacher", student="resnet20-w16", teacher=None, proposal=None)
        values = {seed: value + gain for seed, value in SPREAD.items()}
        found.append(replace(of, trial_id=id))
        taught = [trial(arm="ksan", config=id), *confirmations(values, arm="ksan", config=id)]
        found += [replace(one, teacher_id=id) for one in taught]
    return found


def test_two_teachers_of_one_architecture_are_two(tmp_path: Path) -> None:
    trials = distinct(frame(two_teachers(), tmp_path))
    labels = ["resnet20-w16 #3fa9", "resnet20-w16 #b711"]
    assert pairs(trials[trials["purpose"] == "search"]) == [Pair("digits", label) for label in labels]
    assert teachers(trials)["teacher"].tolist() == labels
    assert search_history(search_configs(trials)).groupby("teacher")["configs"].max().to_dict() == dict.fromkeys(
        labels, 1
    )
    confirmed = confirmed_rows(trials)
    compared = differences(confirmed)
    assert compared.set_index("teacher")["difference"].round(3).to_dict() == {labels[0]: 0.02, labels[1]: -0.02}
    assert "2 student-teacher pairs" in answer(confirmed, compared, averaged(confirmed, compared))[0]


def test_an_answer_over_students_names_the_teacher_where_there_are_two(tmp_path: Path) -> None:
    found = []
    for student in ("resnet8-w2", "resnet8-w4"):
        for one in two_teachers():
            is_teacher = one.purpose == "teacher"
            found.append(
                one
                if is_teacher
                else replace(
                    one, student=student, trial_id=f"{one.trial_id}-{student}", config_id=f"{one.config_id}-{student}"
                )
            )
    confirmed = confirmed_rows(distinct(frame(found, tmp_path)))
    compared = differences(confirmed)
    said = answer(confirmed, compared, averaged(confirmed, compared))
    assert said[0].startswith("ksan on digits, teacher resnet20-w16 #3fa9, mean of 2 students")
    assert said[1].startswith("ksan on digits, teacher resnet20-w16 #b711, mean of 2 students")
    assert not any(sentence.startswith("On digits, ksan") for sentence in said)  # all of them have spoken


def with_spec(of: TrialRecord, **spec: Any) -> TrialRecord:
    return replace(of, spec=json.dumps(spec))


def test_two_folders_of_images_are_two_data_sets(tmp_path: Path) -> None:
    """A trial that failed before it saw its images is counted with those of its own folder."""
    found = []
    for index, print_ in enumerate(("a" * 64, "b" * 64)):
        origin = replace(PROVENANCE, data_fingerprint=print_)
        for number in range(2):
            one = trial(config=f"{index}{number}", proposal=number)
            one = replace(one, dataset="parquet", provenance=None if number else origin)
            found.append(with_spec(one, data={"name": "parquet", "train": f"{index}.parquet"}))
    trials = distinct(frame(found, tmp_path))
    assert search_configs(trials).groupby("dataset").size().to_dict() == {"parquet #aaaa": 2, "parquet #bbbb": 2}


def test_two_networks_of_one_label_are_two_students_but_a_searched_one_is_one(tmp_path: Path) -> None:
    found = [
        with_spec(
            replace(
                trial(config=f"{dropout}"),
                point={"student.dropout": str(dropout)} if is_searched else {},
                arm="kd" if is_searched else "ksan",
            ),
            student={"name": "own", "block": {"path": path}, "dropout": dropout},
        )
        for dropout, path, is_searched in [(0.1, "a", False), (0.1, "b", False), (0.1, "a", True), (0.1, "a", True)]
    ]
    found = [replace(one, trial_id=f"{number}", student="own") for number, one in enumerate(found)]
    trials = distinct(frame(found, tmp_path))
    of_ksan = trials[trials["arm"] == "ksan"]["student"]
    assert of_ksan.nunique() == 2
    assert all(label.startswith("own #") for label in of_ksan)
    assert trials[trials["arm"] == "kd"]["student"].nunique() == 1


def test_labels_that_name_one_thing_stay_as_they_are(tmp_path: Path) -> None:
    before = frame([one for one in two_teachers() if one.teacher_id != "b711" + "0" * 12], tmp_path)
    before = before[before["trial_id"] != "b711" + "0" * 12]
    after = distinct(before)
    for name in ("dataset", "student", "teacher"):
        assert after[name].dropna().tolist() == before[name].dropna().tolist()
