"""The networks that a study can name; entry points of the group `harness.models` add to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.models.architecture import Architecture
from harness.models.mobilenetv2 import MobileNetV2
from harness.models.preactresnet import PreActResNet
from harness.models.python_model import Python
from harness.models.resnet import ResNet
from harness.models.shufflenetv1 import ShuffleNetV1
from harness.models.shufflenetv2 import ShuffleNetV2
from harness.models.torchvision_model import Torchvision
from harness.models.vgg import VGG
from harness.models.wrn import WRN
from harness.spec import one_of

if TYPE_CHECKING:
    AnyArchitecture = Architecture
else:
    AnyArchitecture = one_of(
        [ResNet, PreActResNet, WRN, VGG, MobileNetV2, ShuffleNetV1, ShuffleNetV2, Torchvision, Python], "harness.models"
    )
