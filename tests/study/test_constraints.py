"""What a constraint measures is what the cost of a network says, and it is written back as it was meant."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.study.constraints import Constraint, Limit
from harness.train.cost import activation_bytes, size
from tests.study.test_space import trial

ADAPTER: TypeAdapter[Limit] = TypeAdapter(Constraint)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("params <= 300000", "params <= 300000"),
        ("macs<=2e6", "macs <= 2000000"),
        ("  activation_bytes ≤ 1_500.5 ", "activation_bytes <= 1500.5"),
    ],
)
def test_a_constraint_is_read_and_written(text: str, written: str) -> None:
    limit = ADAPTER.validate_python(text)
    assert str(limit) == ADAPTER.dump_python(limit) == written
    assert ADAPTER.validate_python(written) == limit


@pytest.mark.parametrize(
    "text", ["params", "params >= 3", "params <= -3", "params <= 0", "params <= x", "3 <= params", 3]
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(text)


def test_a_limit_measures_the_student() -> None:
    spec = trial("scratch")
    network = (spec.student, spec.data.shape, spec.data.classes)
    of = {name: ADAPTER.validate_python(f"{name} <= 1").of(spec) for name in ("params", "macs", "activation_bytes")}
    assert list(of.values()) == [size(*network).params, size(*network).macs, activation_bytes(*network)]
    exact = ADAPTER.validate_python(f"params <= {of['params']}")
    assert exact.excess(spec) == 0  # the limit itself is allowed
    assert ADAPTER.validate_python(f"params <= {of['params'] / 2}").excess(spec) == pytest.approx(1)
