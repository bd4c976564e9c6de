"""The networks that a study can name; entry points of the group `harness.models` add to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.models.architecture import Architecture
from harness.models.resnet import ResNet
from harness.spec import one_of

if TYPE_CHECKING:
    AnyArchitecture = Architecture
else:
    AnyArchitecture = one_of([ResNet], "harness.models")
