"""The data sets that a study can name; entry points of the group `harness.datasets` add to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.data.cifar import Cifar10, Cifar100
from harness.data.dataset import Dataset
from harness.data.digits import Digits
from harness.data.folder import Folder
from harness.data.idx import FashionMnist, Mnist
from harness.data.imagenet import ImageNet
from harness.data.parquet import Parquet
from harness.data.svhn import Svhn
from harness.spec import one_of

if TYPE_CHECKING:
    AnyDataset = Dataset
else:
    AnyDataset = one_of(
        [Digits, Mnist, FashionMnist, Cifar10, Cifar100, Svhn, Parquet, Folder, ImageNet], "harness.datasets"
    )
