"""Cost: what a network weighs, known exactly before any training, and how fast it is, measured on request."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness.models.architecture import Architecture


@dataclass(frozen=True)
class Size:
    """Parameters, and multiply-adds of one image's forward pass (convolutions and products)."""

    params: int
    macs: int


def size(network: Architecture, image: tuple[int, int, int], classes: int) -> Size:
    """The size of a network for images of (channels, height, width), counted without allocating it."""
    return _counted(type(network), network.model_dump_json(), image, classes)


@cache  # 40 ms for a ResNet-8, and every record of a study asks for one of a few
def _counted(family: type[Architecture], settings: str, image: tuple[int, int, int], classes: int) -> Size:
    network = family.model_validate_json(settings)
    with torch.device("meta"), torch.no_grad():
        ghost = network.build(image[0], classes).eval()
        with FlopCounterMode(display=False) as counter:
            ghost(torch.empty(1, *image))
    return Size(sum(parameter.numel() for parameter in ghost.parameters()), counter.get_total_flops() // 2)


def activation_bytes(network: Architecture, image: tuple[int, int, int], classes: int) -> int:
    """Bytes of activations that one more training image of a batch makes autograd keep for the backward pass.

    Counted in 32 bits, each storage once, on tensors without memory: what is kept for three images less what is
    kept for two, in which parameters and a normalisation's statistics cancel out. The image itself is among them
    where a layer keeps it; the temporary memory of kernels is not.
    """
    return _kept(type(network), network.model_dump_json(), image, classes)


@cache
def _kept(family: type[Architecture], settings: str, image: tuple[int, int, int], classes: int) -> int:
    with torch.device("meta"):
        ghost = family.model_validate_json(settings).build(image[0], classes).train()
        two, three = (_kept_for(ghost, torch.empty(images, *image)) for images in (2, 3))
    return three - two


def _kept_for(network: nn.Module, images: Tensor) -> int:
    """Bytes that autograd keeps of a pass."""
    storages: dict[int, torch.UntypedStorage] = {}  # held, so that no address is given out twice

    def keep(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        network(images)
    return sum(storage.nbytes() for storage in storages.values())


@dataclass(frozen=True)
class Latency:
    """Seconds of a batch's forward pass: the median and quartiles of `passes` that were timed one by one."""

    batch: int
    lower_quartile: float
    median: float
    upper_quartile: float
    passes: int


def latency(
    network: Architecture,
    image: tuple[int, int, int],
    classes: int,
    device: torch.device,
    batch: int = 1,
    passes: int = 30,
    warm_up: int = 5,
) -> Latency:
    """How long a fresh network takes for a batch that is already on the device, in 32 bits; takes the time to run."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        ready = network.build(image[0], classes).to(device).eval()
        images = torch.rand(batch, *image).to(device)  # drawn here: a GPU's stream of numbers stays as it was
        seconds = [_seconds(ready, images, device) for _ in range(warm_up + passes)][warm_up:]
    lower, median, upper = statistics.quantiles(seconds, n=4, method="inclusive")
    return Latency(batch, lower, median, upper, passes)


def _seconds(network: nn.Module, images: Tensor, device: torch.device) -> float:
    _finish(device)
    began = time.perf_counter()
    network(images)
    _finish(device)
    return time.perf_counter() - began


def _finish(device: torch.device) -> None:
    """Waits for what was asked of a GPU, which answers before it has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
