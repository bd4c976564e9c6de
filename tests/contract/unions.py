"""The members of a union of specs, as it is at run time: a new member is under contract without an edit here."""

from __future__ import annotations

from typing import Any, get_args

from harness.data.catalog import AnyDataset
from harness.data.dataset import Dataset
from harness.distill.catalog import AnyMethod
from harness.distill.method import Method
from harness.models.architecture import Architecture
from harness.models.catalog import AnyArchitecture
from harness.spec import Spec


def _members(union: Any) -> list[Any]:
    union = get_args(union)[0] if get_args(union) else union
    return list(get_args(union) or (union,))


METHODS: list[type[Method]] = _members(AnyMethod)
ARCHITECTURES: list[type[Architecture]] = _members(AnyArchitecture)
DATASETS: list[type[Dataset]] = _members(AnyDataset)

# What a spec cannot do without, where it has a field of that name; in a family, also what keeps it small.
NEEDED: dict[str, object] = {
    "depth": 8,
    "preactresnet.depth": 11,
    "wrn.depth": 10,
    "vgg.width": 8,
    "mobilenetv2.width": 0.125,
    "shufflenetv1.width": 36,
    "shufflenetv2.width": 24,
    "shufflenetv2.last_width": 64,
    "constructor": "shufflenet_v2_x0_5",
    "callable": "tests.contract.foreign:small",
}


def smallest(kind: type[Spec]) -> Any:
    """A member with its defaults, and something small for each field that has none or would be large."""
    family = kind.model_fields["name"].default
    content = {}
    for name, field in kind.model_fields.items():
        if f"{family}.{name}" in NEEDED or field.is_required():
            content[name] = NEEDED.get(f"{family}.{name}", NEEDED.get(name))
    return kind.model_validate(content)
