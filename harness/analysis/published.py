"""What others report of teachers on CIFAR-100, to tell a teacher that was trained badly.

Top-1 test accuracy of the teachers of Tian et al. 2020 (arXiv 1910.10699, table 1), by the label of our own network of
the same shape. Ours is on validation, after training on fewer images, so only a clear gap says anything.
"""

from __future__ import annotations

import pandas as pd

CLEAR = 0.02
"""A gap in accuracy beyond which training, not the split, is the likelier reason."""

_CIFAR100 = {
    "resnet56-w16": 0.7234,
    "resnet110-w16": 0.7431,
    "resnet32-w64-stem32": 0.7942,
    "wrn40-2": 0.7561,
    "vgg13-w64": 0.7464,
}


def below_published(teachers: pd.DataFrame) -> pd.DataFrame:
    """The teachers with a published accuracy: `teacher`, `validation`, `published`, and `is_below` by a clear gap."""
    of = teachers[(teachers["dataset"].str.split(" #").str[0] == "cifar100") & teachers["validation"].notna()]
    published = of["teacher"].str.split(" #").str[0].map(_CIFAR100)
    table = of.assign(published=published)[["teacher", "validation", "published"]].dropna(subset="published")
    return table.assign(is_below=table["validation"] < table["published"] - CLEAR)
