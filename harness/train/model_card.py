"""The model card of an exported student: what it is, what it scored, and how to use and repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from harness.literal import markdown
from harness.record import TrialRecord


def model_card(record: TrialRecord, config: Mapping[str, Any], agreement: str) -> str:
    """The card as Markdown. One trial is one seed: the row that it belongs to says how much seeds spread."""
    channels, height, width = config["shape"]
    study, arm, method, student, data = map(
        markdown, (record.study, record.arm, record.method, record.student, record.dataset)
    )
    taught = f"by {method}, taught by {markdown(record.teacher)}" if record.teacher else f"by {method}"
    settings = {name: json.loads(value) for name, value in record.point.items()}
    origin = record.provenance
    return f"""---
pipeline_tag: image-classification
tags: {json.dumps(["image-classification", "knowledge-distillation", record.method])}
---
# {student} for {data}

An image classifier of {record.params:,} parameters and {record.macs:,} multiply-adds an image, trained {taught} for
{record.epochs} epochs.

| what | value |
| --- | --- |
| accuracy on test | {_percent(record.test_accuracy)} of {record.test_images:,} images, seed {record.seed} alone |
| accuracy on validation | {_percent(record.validation_accuracy)} of {record.validation_images:,} images |
| study, arm | {study}, {arm} |
| trial, config | `{record.trial_id}`, `{record.config_id}` |
| weights (SHA-256) | `{record.student_digest}` |
| data (SHA-256) | `{origin.data_fingerprint if origin else "unknown"}` |
| made with | {_made_with(record)} |
| what the search chose | {markdown(json.dumps(settings))} |

## Use

`model.onnx` takes pixels as they are in files, uint8 of shape (n, {channels}, {height}, {width}), and gives logits of
{config["classes"]} classes. {agreement}, as onnxruntime runs it.

```python
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
pixels = np.zeros((1, {channels}, {height}, {width}), dtype=np.uint8)
(logits,) = session.run(["logits"], {{"pixels": pixels}})
```

`model.safetensors` holds the weights for the network of `config.json`; pixels are standardised by its mean and spread.

## Limits

It knows the classes and the kind of images of {data} and nothing else; it was compared with other students,
not examined for use. One seed's accuracy is a draw: its config's other seeds say how much it is worth.

## Repeat

```sh
harness reproduce {record.trial_id}
```
"""


def _percent(accuracy: float | None) -> str:
    return "none" if accuracy is None else f"{100 * accuracy:.2f} %"


def _made_with(record: TrialRecord) -> str:
    origin = record.provenance
    if origin is None:
        return "unknown"
    commit = f", commit {origin.commit}" if origin.commit else ""
    versions = f"harness {origin.harness}{commit}, torch {origin.torch}, Python {origin.python}"
    return f"{versions}, {origin.machine}, {origin.device}"
