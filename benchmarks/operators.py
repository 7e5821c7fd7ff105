"""Seconds of a morphological operator on many images: the max-approximation beside OpenCV, SciPy and Kornia.

    python benchmarks/operators.py

prints, on one thread, the seconds for 10,000 images of 28 by 28 pixels and for 200 of 512 by 512, of an operator and
of a granulometry, and from which radius on the max-approximation takes less time than OpenCV. Before that, all engines
must give equal images. Images, codes and atoms are random and no model is trained, since no time depends on the values.

The atoms are operated on once for a model, which is not in the times: it takes what as many images take. Codes of ten
entries are sparse matrices of SciPy. OpenCV's tall image has borders between the images, as high as the radius, and
lies in memory before the clock starts. Slow ways are timed on fewer images, and their time is scaled; a column tells
how many there were at least.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from scipy import ndimage, sparse

from partae import AutoEncoder, Operator
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.footprint import disk

try:
    import cv2
except ModuleNotFoundError:
    raise SystemExit("benchmarks/operators.py needs OpenCV: pip install -e '.[benchmarks]'") from None

COUNTS = {28: 10_000, 512: 200}  # images by their side
RADII = (1, 2, 3, 5, 7, 10, 15)
SCALES = tuple(range(1, 11))  # the radii of the granulometry
ATOMS, ENTRIES = 100, 10
SECONDS = 0.2  # that a measurement takes at least, unless all images take less
TURNS = 3  # of which the fastest counts
TALL = "OpenCV, one tall image"
GIVEN, INCLUDED = "max-approximation, codes given", "max-approximation, codes included"
Images = NDArray[Any]  # (N, H, W)
Run = Callable[[], Any]  # what is timed
Engine = Callable[[Images, str, int], Run]  # does what is not timed, for images, an operator and a radius
Way = Callable[[int], Run]  # the same for so many first images
Table = dict[str, dict[tuple[str, int], tuple[float, int]]]  # seconds by operator and radius, and for how many images

DILATION, EROSION = (cv2.dilate, False), (cv2.erode, True)  # and whether pixels that do not count are white
STEPS = {"dilation": (DILATION,), "opening": (EROSION, DILATION), "closing": (DILATION, EROSION)}
CODES = {"dilation": cv2.MORPH_DILATE, "opening": cv2.MORPH_OPEN, "closing": cv2.MORPH_CLOSE}


def footprint(radius: int) -> NDArray[np.uint8]:
    return disk(radius).numpy().astype(np.uint8)


def opencv_one_by_one(images: Images, operator: str, radius: int) -> Run:
    code, element, operated = CODES[operator], footprint(radius), np.empty_like(images)

    def run() -> Images:
        for image, target in zip(images, operated, strict=True):
            cv2.morphologyEx(image, code, element, target)
        return operated

    return run


def opencv_tall(images: Images, operator: str, radius: int) -> Run:
    count, height, width = images.shape
    white = 255 if images.dtype == np.uint8 else 1
    strip = np.zeros((count, height + radius, width), images.dtype)
    strip[:, :height] = images

    def run() -> Images:
        operated = strip
        for step, is_white in STEPS[operator]:
            operated[:, height:] = white * is_white
            operated = step(operated.reshape(-1, width), footprint(radius)).reshape(strip.shape)
        return operated[:, :height]

    return run


def opencv_tall_bytes(images: Images, operator: str, radius: int) -> Run:
    return opencv_tall((255 * images).round().astype(np.uint8), operator, radius)


def scipy_stack(images: Images, operator: str, radius: int) -> Run:
    operate = getattr(ndimage, f"grey_{operator}")
    return lambda: operate(images, footprint=footprint(radius)[None])


def kornia(images: Images, operator: str, radius: int) -> Run:
    operate, tensor = Operator(operator, radius), torch.from_numpy(images)[:, None]
    return lambda: operate(tensor)[:, 0].numpy()


ENGINES: dict[str, Engine] = {
    "OpenCV, image by image": opencv_one_by_one,
    TALL: opencv_tall,
    "OpenCV, one tall image of bytes": opencv_tall_bytes,
    "SciPy, all as a stack": scipy_stack,
    "Kornia, by partae.Operator": kornia,
}


def check(images: Images) -> None:
    """Assert that all engines give equal images."""
    for operator in STEPS:
        for radius in RADII:
            expected, *others = (engine(images, operator, radius)() for engine in ENGINES.values())
            for found in others:
                np.testing.assert_array_equal(found / np.float32(255) if found.dtype == np.uint8 else found, expected)


def by_code(images: Images) -> tuple[dict[str, Way], dict[str, Way]]:
    """The ways that work on codes: those that give images, and those that give their sums by all `SCALES` at once."""
    shape = (1, *images.shape[1:])
    model = AutoEncoder(Dense(shape, ATOMS), Dictionary(shape, ATOMS)).eval()
    tensor, code = torch.from_numpy(images)[:, None], torch.rand(len(images), ATOMS)
    atoms, weights = torch.rand(ATOMS, *shape), torch.rand(ATOMS, len(SCALES))
    few = sparse.csr_array(torch.zeros_like(code).scatter(1, code.topk(ENTRIES).indices, 1.0).numpy())
    columns = atoms.flatten(1).numpy()
    return {
        GIVEN: lambda count: lambda: model.decode(code[:count], atoms),
        INCLUDED: lambda count: lambda: model.decode(model.encode(tensor[:count]), atoms),
        "max-approximation, codes of ten entries given": lambda count: lambda: few[:count] @ columns,
    }, {
        "`partae.Granulometry`, codes given": lambda count: lambda: code[:count] @ weights,
        "`partae.Granulometry`, codes included": lambda count: lambda: model.encode(tensor[:count]) @ weights,
    }


def by_engine(engine: Engine, images: Images, operator: str, radius: int) -> Way:
    return lambda count: engine(images[:count], operator, radius)


def summed(way: Way, pixels: int) -> Way:
    """The same work, and the sum over the pixels of each image."""

    def prepare(count: int) -> Run:
        run = way(count)
        return lambda: run().reshape(-1, pixels).sum(axis=1)

    return prepare


def clock(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(way: Way, total: int, count: int) -> tuple[float, int]:
    """The seconds for ``total`` images, and for how many they were measured: at least ``count``."""
    while True:
        run = way(count)
        seconds = min(clock(run) for _ in range(TURNS))  # whatever disturbs a turn makes it longer
        if count == total or seconds >= SECONDS:
            return seconds * total / count, count
        count = min(total, count * round(min(10, max(2, SECONDS / seconds))))


def written(seconds: float) -> str:
    return f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"


def print_operators(table: Table) -> None:
    """Print the seconds of each operator and radius; one number where those of all operators are alike."""
    print(f"| {' / '.join(STEPS)} | {' | '.join(f'disk {radius}' for radius in RADII)} | images, at least |")
    print("| --- |" + " --- |" * (len(RADII) + 1))
    for name, found in table.items():
        columns = [[written(found[operator, radius][0]) for operator in STEPS] for radius in RADII]
        cells = [" / ".join(column if len(set(column)) > 1 else column[:1]) for column in columns]
        print(f"| {name} | {' | '.join(cells)} | {min(count for _, count in found.values())} |")


def print_granulometry(table: Table) -> None:
    """Print the seconds of the sums of openings by all `SCALES`."""
    print(f"| {len(SCALES)} openings, summed | seconds | times as fast as the tall image | images, at least |")
    print("| --- | --- | --- | --- |")
    seconds = {name: sum(each for each, _ in found.values()) for name, found in table.items()}
    for name, found in table.items():
        fewest = min(count for _, count in found.values())
        print(
            f"| {name} | {written(seconds[name])} | {written(seconds[TALL] / seconds[name])} | {fewest} |", flush=True
        )


def break_even(table: Table, codes: str) -> str:
    """From which radius on each operator takes less time by the max-approximation than by OpenCV's fastest way."""
    own = table[f"max-approximation, {codes}"]
    opencv = [found for name, found in table.items() if name.startswith("OpenCV")]
    radii = []
    for operator in STEPS:
        keys = [(operator, radius) for radius in RADII]
        slower = max((key[1] for key in keys if own[key] >= min(found[key] for found in opencv)), default=0)
        later = [f"{operator}s from radius {radius} on" for radius in RADII if radius > slower]
        radii += later[:1] or [f"no {operator}s"]
    return f"with {codes}, for {', '.join(radii)}"


def time_all(
    renderings: dict[str, Way], images: Images, keys: list[tuple[str, int]], finish: Callable[[Way], Way]
) -> Table:
    """Time all that gives images; what works on codes takes as long for each operator and radius."""
    total = len(images)
    some = -(-total // 100)  # fewer do not tell: by large disks, Kornia takes as long for one small image as for ten
    table = {name: dict.fromkeys(keys, measure(finish(way), total, total)) for name, way in renderings.items()}
    for name, engine in ENGINES.items():
        table[name] = {key: measure(finish(by_engine(engine, images, *key)), total, some) for key in keys}
    return table


def compare(side: int, total: int) -> None:
    """Print all about ``total`` images of ``side`` by ``side`` pixels."""
    images = np.random.default_rng(0).integers(0, 256, (total, side, side)).astype(np.float32) / np.float32(255)
    check(images[:3, :40, :40])
    renderings, sums = by_code(images)
    print(f"\n{total} images of {side} by {side} pixels, seconds\n", flush=True)
    operators = time_all(renderings, images, list(product(STEPS, RADII)), lambda way: way)
    print_operators(operators)
    openings = [("opening", radius) for radius in SCALES]
    without = {name: way for name, way in renderings.items() if name != INCLUDED}
    granulometry = time_all(without, images, openings, partial(summed, pixels=side**2))
    encoding = max(0.0, operators[INCLUDED]["opening", RADII[0]][0] - operators[GIVEN]["opening", RADII[0]][0])
    granulometry[INCLUDED] = {  # images are encoded once for all openings
        key: (seconds + encoding / len(SCALES), count) for key, (seconds, count) in granulometry[GIVEN].items()
    }
    granulometry |= {name: {openings[0]: measure(way, total, total)} for name, way in sums.items()}
    print()
    print_granulometry(granulometry)
    even = "; ".join(break_even(operators, codes) for codes in ("codes given", "codes included"))
    print(f"\nOn {side} by {side} pixels, the max-approximation takes less time than OpenCV: {even}.", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)  # partae.Operator is Kornia's then
    cv2.setNumThreads(1)
    print(f"one thread, OpenCV {cv2.__version__}, PyTorch {torch.__version__}, SciPy {scipy.__version__}")
    for side, total in COUNTS.items():
        compare(side, total)


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv else main()
