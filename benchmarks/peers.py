"""KD by other people's own loops: torchdistill (PyPI) and RepDistiller (a checkout of HobbitLong/RepDistiller).

Their code stays where it is: torchdistill's is imported, RepDistiller's from the path that is given.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import RandomSampler, SequentialSampler

from benchmarks.task import BATCH, STUDENT, Task
from benchmarks.usual import Instances, images, loaders, sgd, validate
from harness.distill.kd import KD


def torchdistill(task: Task) -> Iterator[float]:
    """KD by torchdistill's distillation box, in the loop of its image classification example."""
    logging.getLogger("torchdistill").setLevel(logging.ERROR)
    from torchdistill.core.distillation import get_distillation_box
    from torchdistill.misc.log import MetricLogger, SmoothedValue

    student = STUDENT.build(3, task.spec.data.classes).to(task.device)
    sets = {part: images(task, part) for part in ("train", "validation")}
    box = get_distillation_box(task.network, student, sets, _torchdistill_config(task), task.device, None, False, 1.0)
    _, validation = loaders(task)
    epoch = 0
    while True:
        with contextlib.redirect_stdout(io.StringIO()):
            began = time.perf_counter()
            box.pre_epoch_process(epoch=epoch)
            logger = MetricLogger(delimiter="  ")
            logger.add_meter("lr", SmoothedValue(window_size=1, fmt="{value}"))
            logger.add_meter("img/s", SmoothedValue(window_size=10, fmt="{value}"))
            for *on_host, more in logger.log_every(box.train_data_loader, 50, f"Epoch: [{epoch}]"):
                start = time.time()
                batch, labels = (part.to(task.device) for part in on_host)
                loss = box.forward_process(batch, labels, more)
                box.post_forward_process(loss)
                logger.update(loss=loss.item(), lr=box.optimizer.param_groups[0]["lr"])
                logger.meters["img/s"].update(len(batch) / (time.time() - start))
                if torch.isnan(loss) or torch.isinf(loss):
                    raise ValueError(f"the training loop was broken due to loss = {loss}")
            seconds = time.perf_counter() - began
            validate(student, validation, task.device)
            box.post_epoch_process()
        yield seconds
        epoch += 1


def _torchdistill_config(task: Task) -> dict[str, object]:
    method, training = task.spec.method, task.spec.training
    assert isinstance(method, KD)
    logits = {f"{who}_module_{what}": value for who in ("student", "teacher") for what, value in _OUTPUT.items()}
    loss = {"temperature": method.temperature, "alpha": 1 - method.alpha, "reduction": "batchmean"}
    kd = {"key": "KDLoss", "kwargs": {**logits, **loss}}
    loader = {"kwargs": {"batch_size": BATCH, "num_workers": 0}}
    return {
        "num_epochs": training.epochs,
        "train_data_loader": {"dataset_id": "train", "sampler": {"class_or_func": RandomSampler}, **loader},
        "val_data_loader": {"dataset_id": "validation", "sampler": {"class_or_func": SequentialSampler}, **loader},
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only", "requires_grad": True},
        "optimizer": {
            "key": "SGD",
            "kwargs": {
                "lr": training.learning_rate,
                "momentum": training.momentum,
                "weight_decay": training.weight_decay,
            },
            "max_grad_norm": training.clip,
        },
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": {"criterion": kd, "weight": 1.0}}}},
    }


_OUTPUT = {"path": ".", "io": "output"}


def repdistiller(task: Task, checkout: Path) -> Iterator[float]:
    """KD by RepDistiller's `train_distill` and its own networks of the same shapes.

    It trains on CUDA wherever there is one, whatever is asked.
    """
    method, classes = task.spec.method, task.spec.data.classes
    assert isinstance(method, KD)
    with _importable(checkout):
        networks = importlib.import_module("models").model_dict
        loops = importlib.import_module("helper.loops")
        softened = importlib.import_module("distiller_zoo").DistillKL(method.temperature)
    teacher, student = (networks[name](num_classes=classes).to(task.device) for name in ("resnet56", "resnet20"))
    _check_sizes((teacher, task.network), (student, STUDENT.build(3, classes)))
    modules, criteria = nn.ModuleList([student, teacher]), nn.ModuleList([nn.CrossEntropyLoss(), softened, softened])
    optimiser = sgd(task, student)
    training, validation = loaders(task, Instances)
    options = argparse.Namespace(distill="kd", gamma=1 - method.alpha, alpha=method.alpha, beta=0.0, print_freq=100)
    epoch = 0
    while True:
        epoch += 1
        with contextlib.redirect_stdout(io.StringIO()):
            began = time.perf_counter()
            loops.train_distill(epoch, training, modules, criteria, optimiser, options)
            seconds = time.perf_counter() - began
            loops.validate(validation, student, criteria[0], options)
        yield seconds


def _check_sizes(*pairs: tuple[nn.Module, nn.Module]) -> None:
    for theirs, ours in pairs:
        sizes = [sum(parameter.numel() for parameter in network.parameters()) for network in (theirs, ours)]
        if sizes[0] != sizes[1]:
            raise SystemExit(f"RepDistiller's network has {sizes[0]} parameters and ours {sizes[1]}; they differ")


@contextlib.contextmanager
def _importable(checkout: Path) -> Iterator[None]:
    """Puts a checkout on the path; its own names of packages are as general as `models`."""
    if not (checkout / "helper" / "loops.py").is_file():
        raise SystemExit(f"{checkout} is no checkout of RepDistiller (helper/loops.py is not there)")
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
