"""Convolution and batch normalisation of stacked networks on a CPU, compiled by Numba.

Libraries compute a convolution of 4 channels on 8×8 pixels at a small part of a processor's speed: they put channels or
pixels side by side in its registers, and there are too few. Here a member's images lie side by side, so that registers
are full whatever the network:

    maps (channels, h, w, members, images)     weights and gradients with the member first

    channels × high × long    what enters a convolution, `own` channels of which one group reads
    width × down × wide       what leaves it

Every function is a loop over members, so none depends on its company. Rows are added up in a fixed order; where numbers
are added up within a row, in registers' parts, that is fixed by the processor and the batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numba import float32, njit
from numpy.typing import NDArray

_NOT_KEPT = (RuntimeError, OSError, EOFError, ValueError, UnpicklingError)
"""Nowhere to keep what is compiled, a full disk, or a damaged file."""
Floats = NDArray[np.float32]
Kernel = Callable[..., Any]

_MAPS, _WEIGHTS, _VECTORS, _ROWS = "f4[:,:,:,:,::1]", "f4[:,:,:,::1]", "f4[:,:,::1]", "f4[:,:]"


def _compiled(*arguments: str, sums: bool = False) -> Callable[[Kernel], Kernel]:
    """Compiles a function for such arguments, and keeps it beside this file where that can be written, or in Numba's
    own folder; without arguments it becomes a part of its callers. `sums`: a sum may be split over a register's parts.
    """
    allowed = {"contract", "reassoc"} if sums else {"contract"}

    def compiled(function: Kernel) -> Kernel:
        if not arguments:
            return njit(nogil=True, fastmath=allowed)(function)
        signature = f"void({', '.join(arguments)})"
        try:
            return njit(signature, cache=True, nogil=True, fastmath=allowed)(function)
        except _NOT_KEPT as error:
            said = f"{function.__name__} is compiled anew by every process: {error or type(error).__name__}"
            warnings.warn(f"{said}; NUMBA_CACHE_DIR names a folder to keep it in", stacklevel=2)
            return njit(signature, nogil=True, fastmath=allowed)(function)

    return compiled


@_compiled()
def _copy(source: Floats, into: Floats) -> None:
    for place in range(len(source)):
        into[place] = source[place]


@_compiled()
def _entries(channels: int, kernel: int, high: int, stride: int, across: int, batch: int) -> NDArray[np.int64]:
    """Where what the entries of a kernel's row multiply begins in `_spread` maps: channels · k, entries fastest."""
    entries = np.empty(channels * kernel, np.int64)
    for channel in range(channels):
        for entry in range(kernel):
            place = (channel * high * stride + entry % stride) * across + entry // stride
            entries[channel * kernel + entry] = place * batch
    return entries


@_compiled()
def _spread(maps: Floats, member: int, into: Floats, stride: int, padding: int, across: int) -> None:
    """A member's maps with borders of zeros, each line's every `stride`-th pixel side by side.

    What an entry of a kernel multiplies in a line of output is one run of memory then.
    """
    channels, high, long, _, batch = maps.shape
    start = 0
    for channel in range(channels):
        for line in range(high):
            for first in range(stride):
                for place in range(across):
                    pixel = place * stride + first - padding
                    to = into[start:][:batch]
                    if 0 <= pixel < long:
                        _copy(maps[channel, line, pixel, member], to)
                    else:
                        to[:] = 0.0
                    start += batch


@_compiled()
def _take_line(maps: Floats, line: int, member: int, into: Floats) -> None:
    """A line of a member's maps, channel by channel."""
    channels, _, wide, _, batch = maps.shape
    for place in range(channels * wide):
        _copy(maps[place // wide, line, place % wide, member], into[place * batch :][:batch])


@_compiled()
def _add_rows(into: Floats, source: Floats, first: int, starts: NDArray[np.int64], weights: Floats) -> None:
    """Adds weighted rows, each `first` + its start: eight at a time, which a register holds the sum of."""
    run, at = len(into), 0
    while at + 8 <= len(starts):
        a, b = source[first + starts[at] :][:run], source[first + starts[at + 1] :][:run]
        c, d = source[first + starts[at + 2] :][:run], source[first + starts[at + 3] :][:run]
        e, f = source[first + starts[at + 4] :][:run], source[first + starts[at + 5] :][:run]
        g, h = source[first + starts[at + 6] :][:run], source[first + starts[at + 7] :][:run]
        wa, wb, wc, wd = weights[at], weights[at + 1], weights[at + 2], weights[at + 3]
        we, wf, wg, wh = weights[at + 4], weights[at + 5], weights[at + 6], weights[at + 7]
        for i in range(run):
            half = (((into[i] + wa * a[i]) + wb * b[i]) + wc * c[i]) + wd * d[i]
            into[i] = (((half + we * e[i]) + wf * f[i]) + wg * g[i]) + wh * h[i]
        at += 8
    while at + 4 <= len(starts):
        a, b = source[first + starts[at] :][:run], source[first + starts[at + 1] :][:run]
        c, d = source[first + starts[at + 2] :][:run], source[first + starts[at + 3] :][:run]
        wa, wb, wc, wd = weights[at], weights[at + 1], weights[at + 2], weights[at + 3]
        for i in range(run):
            into[i] = (((into[i] + wa * a[i]) + wb * b[i]) + wc * c[i]) + wd * d[i]
        at += 4
    while at < len(starts):
        a, wa = source[first + starts[at] :][:run], weights[at]
        for i in range(run):
            into[i] = into[i] + wa * a[i]
        at += 1


@_compiled(sums=True)
def _add_dots(row: Floats, source: Floats, first: int, starts: NDArray[np.int64], into: Floats) -> None:
    """Adds the products of a row with others, each `first` + its start: four at a time."""
    run, at = len(row), 0
    while at + 4 <= len(starts):
        a, b = source[first + starts[at] :][:run], source[first + starts[at + 1] :][:run]
        c, d = source[first + starts[at + 2] :][:run], source[first + starts[at + 3] :][:run]
        by_a, by_b, by_c, by_d = float32(0), float32(0), float32(0), float32(0)
        for i in range(run):
            by_a += row[i] * a[i]
            by_b += row[i] * b[i]
            by_c += row[i] * c[i]
            by_d += row[i] * d[i]
        into[at] += by_a
        into[at + 1] += by_b
        into[at + 2] += by_c
        into[at + 3] += by_d
        at += 4
    while at < len(starts):
        a, by_a = source[first + starts[at] :][:run], float32(0)
        for i in range(run):
            by_a += row[i] * a[i]
        into[at] += by_a
        at += 1


@_compiled(_MAPS, _WEIGHTS, _MAPS, "i8", "i8", "i8")
def convolve(images: Floats, weight: Floats, into: Floats, stride: int, padding: int, groups: int) -> None:
    """Convolves maps by weights (N, c', k, c/groups · k): entries of a kernel's row stand beside each other."""
    channels, high, _, members, batch = images.shape
    _, width, kernel, _ = weight.shape
    down, wide = into.shape[1], into.shape[2]
    across = wide + (kernel - 1) // stride
    row, run, own = stride * across * batch, wide * batch, channels // groups
    spread = np.empty(channels * high * row, np.float32)
    rows = np.empty(width * run, np.float32)
    entries = _entries(own, kernel, high, stride, across, batch)
    for member in range(members):
        _spread(images, member, spread, stride, padding, across)
        for line in range(down):
            rows[:] = 0.0
            for above in range(kernel):
                source = line * stride + above - padding
                if 0 <= source < high:
                    for channel in range(width):
                        first = (channel * groups // width * own * high + source) * row
                        _add_rows(rows[channel * run :][:run], spread, first, entries, weight[member, channel, above])
            for place in range(width * wide):
                _copy(rows[place * batch :][:batch], into[place // wide, line, place % wide, member])


@_compiled(_MAPS, _WEIGHTS, _MAPS, "i8", "i8", "i8")
def convolve_back(gradient: Floats, weight: Floats, into: Floats, stride: int, padding: int, groups: int) -> None:
    """The images' gradient; weights (N, k, c · k, c'/groups), what one entry of a kernel hands back side by side."""
    channels, high, long, members, batch = into.shape
    _, kernel, _, own = weight.shape
    width, down, wide = gradient.shape[:3]
    across = max(wide + (kernel - 1) // stride, (long + padding + stride - 1) // stride)
    row, run = stride * across * batch, wide * batch
    spread = np.empty(channels * high * row, np.float32)
    rows = np.empty(width * run, np.float32)
    sources = np.arange(own) * run
    entries = _entries(channels, kernel, high, stride, across, batch)
    for member in range(members):
        spread[:] = 0.0
        for line in range(down):
            _take_line(gradient, line, member, rows)
            for above in range(kernel):
                target = line * stride + above - padding
                if 0 <= target < high:
                    for entry in range(channels * kernel):
                        first = entry // kernel * groups // channels * own * run
                        to = spread[target * row + entries[entry] :][:run]
                        _add_rows(to, rows, first, sources, weight[member, above, entry])
        for channel in range(channels):
            for line in range(high):
                for pixel in range(long):
                    place = (pixel + padding) % stride * across + (pixel + padding) // stride
                    start = (channel * high + line) * row + place * batch
                    _copy(spread[start:][:batch], into[channel, line, pixel, member])


@_compiled(_MAPS, _MAPS, _WEIGHTS, "i8", "i8", "i8")
def convolve_weights(images: Floats, gradient: Floats, into: Floats, stride: int, padding: int, groups: int) -> None:
    """The weights' gradient, as `convolve` has weights."""
    channels, high, _, members, batch = images.shape
    _, width, kernel, _ = into.shape
    down, wide = gradient.shape[1], gradient.shape[2]
    across = wide + (kernel - 1) // stride
    row, run, own = stride * across * batch, wide * batch, channels // groups
    spread = np.empty(channels * high * row, np.float32)
    rows = np.empty(width * run, np.float32)
    entries = _entries(own, kernel, high, stride, across, batch)
    for member in range(members):
        _spread(images, member, spread, stride, padding, across)
        into[member] = 0.0
        for line in range(down):
            _take_line(gradient, line, member, rows)
            for above in range(kernel):
                source = line * stride + above - padding
                if 0 <= source < high:
                    for channel in range(width):
                        first = (channel * groups // width * own * high + source) * row
                        _add_dots(rows[channel * run :][:run], spread, first, entries, into[member, channel, above])


@_compiled()
def _follow(running: Floats, member: int, channel: int, seen: float, momentum: float) -> None:
    running[member, channel] = running[member, channel] * (1.0 - momentum) + seen * momentum


@_compiled(_MAPS, _ROWS, _ROWS, _MAPS, _ROWS, _ROWS, _ROWS, _ROWS, "f8", "f8", sums=True)
def normalise(
    maps: Floats,
    weight: Floats,
    bias: Floats,
    into: Floats,
    means: Floats,
    variances: Floats,
    running_mean: Floats,
    running_var: Floats,
    epsilon: float,
    momentum: float,
) -> None:
    """Standardises each channel of each member over its images and pixels, tells the (biased) statistics, and has the
    running ones follow them.
    """
    channels, high, wide, members, batch = maps.shape
    pixels = high * wide
    count = pixels * batch
    for channel in range(channels):
        for member in range(members):
            total = 0.0
            for pixel in range(pixels):
                row, part = maps[channel, pixel // wide, pixel % wide, member], float32(0)
                for i in range(batch):
                    part += row[i]
                total += float(part)
            mean, total = float32(total / count), 0.0
            for pixel in range(pixels):
                row, part = maps[channel, pixel // wide, pixel % wide, member], float32(0)
                for i in range(batch):
                    part += (row[i] - mean) * (row[i] - mean)
                total += float(part)
            variance = total / count
            means[member, channel], variances[member, channel] = mean, variance
            _follow(running_mean, member, channel, mean, momentum)
            _follow(running_var, member, channel, variance * count / (count - 1), momentum)
            scale, shift = float32(weight[member, channel] / np.sqrt(variance + epsilon)), bias[member, channel]
            for pixel in range(pixels):
                row = maps[channel, pixel // wide, pixel % wide, member]
                to = into[channel, pixel // wide, pixel % wide, member]
                for i in range(batch):
                    to[i] = (row[i] - mean) * scale + shift


@_compiled(_MAPS, _MAPS, _ROWS, _ROWS, _ROWS, _MAPS, _ROWS, _ROWS, "f8", sums=True)
def normalise_back(
    maps: Floats,
    gradient: Floats,
    weight: Floats,
    means: Floats,
    variances: Floats,
    into: Floats,
    of_weight: Floats,
    of_bias: Floats,
    epsilon: float,
) -> None:
    """The gradients of what `normalise` was given."""
    channels, high, wide, members, batch = maps.shape
    pixels = high * wide
    count = pixels * batch
    for channel in range(channels):
        for member in range(members):
            mean, total, along = means[member, channel], 0.0, 0.0
            for pixel in range(pixels):
                row = maps[channel, pixel // wide, pixel % wide, member]
                given = gradient[channel, pixel // wide, pixel % wide, member]
                part, part_along = float32(0), float32(0)
                for i in range(batch):
                    part += given[i]
                    part_along += given[i] * (row[i] - mean)
                total += float(part)
                along += float(part_along)
            inverse = 1.0 / np.sqrt(variances[member, channel] + epsilon)
            of_weight[member, channel], of_bias[member, channel] = along * inverse, total
            scale, centre = float32(weight[member, channel] * inverse), float32(total / count)
            slope = float32(along * inverse * inverse / count)
            for pixel in range(pixels):
                row = maps[channel, pixel // wide, pixel % wide, member]
                given = gradient[channel, pixel // wide, pixel % wide, member]
                to = into[channel, pixel // wide, pixel % wide, member]
                for i in range(batch):
                    to[i] = (given[i] - centre - (row[i] - mean) * slope) * scale


@_compiled(_VECTORS, _ROWS, _ROWS, _VECTORS, _ROWS, _ROWS, _ROWS, _ROWS, "f8", "f8")
def normalise_vectors(
    vectors: Floats,
    weight: Floats,
    bias: Floats,
    into: Floats,
    means: Floats,
    variances: Floats,
    running_mean: Floats,
    running_var: Floats,
    epsilon: float,
    momentum: float,
) -> None:
    """`normalise` for vectors, (members, images, channels)."""
    members, batch, channels = vectors.shape
    mean, scale = np.empty(channels, np.float32), np.empty(channels, np.float32)
    totals, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for member in range(members):
        totals[:] = 0.0
        for image in range(batch):
            row = vectors[member, image]
            for i in range(channels):
                totals[i] += row[i]
        for i in range(channels):
            mean[i], totals[i] = totals[i] / np.float32(batch), 0.0
        for image in range(batch):
            row = vectors[member, image]
            for i in range(channels):
                totals[i] += (row[i] - mean[i]) * (row[i] - mean[i])
        for i in range(channels):
            variance = totals[i] / np.float32(batch)
            means[member, i], variances[member, i] = mean[i], variance
            _follow(running_mean, member, i, mean[i], momentum)
            _follow(running_var, member, i, variance * batch / (batch - 1), momentum)
            scale[i], shift[i] = weight[member, i] / np.sqrt(variance + epsilon), bias[member, i]
        for image in range(batch):
            row, to = vectors[member, image], into[member, image]
            for i in range(channels):
                to[i] = (row[i] - mean[i]) * scale[i] + shift[i]


@_compiled(_VECTORS, _VECTORS, _ROWS, _ROWS, _ROWS, _VECTORS, _ROWS, _ROWS, "f8")
def normalise_vectors_back(
    vectors: Floats,
    gradient: Floats,
    weight: Floats,
    means: Floats,
    variances: Floats,
    into: Floats,
    of_weight: Floats,
    of_bias: Floats,
    epsilon: float,
) -> None:
    """The gradients of what `normalise_vectors` was given."""
    members, batch, channels = vectors.shape
    mean, scale = np.empty(channels, np.float32), np.empty(channels, np.float32)
    total, along = np.empty(channels, np.float32), np.empty(channels, np.float32)
    centre, slope = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for member in range(members):
        for i in range(channels):
            mean[i], total[i], along[i] = means[member, i], 0.0, 0.0
        for image in range(batch):
            row, given = vectors[member, image], gradient[member, image]
            for i in range(channels):
                total[i] += given[i]
                along[i] += given[i] * (row[i] - mean[i])
        for i in range(channels):
            inverse = 1.0 / np.sqrt(variances[member, i] + epsilon)
            of_weight[member, i], of_bias[member, i] = along[i] * inverse, total[i]
            scale[i], centre[i] = weight[member, i] * inverse, total[i] / np.float32(batch)
            slope[i] = along[i] * inverse * inverse / batch
        for image in range(batch):
            row, given, to = vectors[member, image], gradient[member, image], into[member, image]
            for i in range(channels):
                to[i] = (given[i] - centre[i] - (row[i] - mean[i]) * slope[i]) * scale[i]
