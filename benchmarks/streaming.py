"""Training on an array four times larger than the memory, against training on images in memory, side by side.

    python benchmarks/streaming.py

writes colour images to a .npy file four times as large as a memory limit, trains an epoch on it in a process that is
held to the limit, trains an epoch on a small array in memory, and prints the peak of the memory and the ratio of the
throughputs. A third process shows that the limit holds: told to keep the large array in memory, it must fail.

The limit is on all memory that a process may write to (``RLIMIT_DATA``), the libraries' included; those take about
1 GB where torch is built for CUDA. The peak is that of all resident memory. The file is evicted from the system's page
cache before the training, so that each image comes from the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, Trainer

from partae import AutoEncoder
from partae.constraint import NonNegative
from partae.data import Arrays, DataModule
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.sparsity import KL

MB = 1_000_000
TIMES = 4  # the limit, in the large array
BLOCK = 10_000  # images written at a time
IN_MEMORY = 100 * MB  # of images, for the comparison
TEST_IMAGES = 100


class Throughput(Callback):
    """Images a second of the training, its first steps aside."""

    warm_up = 20

    def on_train_batch_end(self, trainer: Trainer, model: Any, outputs: Any, batch: Any, index: int) -> None:
        if index == self.warm_up:
            self.start, self.images = time.perf_counter(), 0
        elif index > self.warm_up:
            self.images += len(batch[0])

    def on_train_epoch_end(self, *_: Any) -> None:
        self.rate = self.images / (time.perf_counter() - self.start)


def write(folder: Path, count: int, side: int) -> None:
    """``count`` training images of random colours, and a few to test."""
    colours = np.random.default_rng(0).integers(0, 256, (BLOCK, 3, side, side), np.uint8)
    for name, number in (("train", count), ("test", TEST_IMAGES)):
        shape = (number, 3, side, side)
        array = np.lib.format.open_memmap(folder / f"{name}_images.npy", mode="w+", dtype=np.uint8, shape=shape)
        for start in range(0, number, BLOCK):
            array[start : start + BLOCK] = colours[: number - start]
        array.flush()


def evict(folder: Path) -> None:
    """Forget the files in ``folder`` that the system holds in memory."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def train(folder: str, limit: int, memory: int, batch_size: int, batches: int) -> None:
    """Train ``batches`` of an epoch (0: all), held to ``limit`` bytes (0: free), and print what came of it."""
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    torch.manual_seed(0)
    data = DataModule(Arrays(folder), batch_size=batch_size, val_size=TEST_IMAGES, memory=memory)
    model = AutoEncoder(Dense(data.image_shape, 100), Dictionary(data.image_shape, 100), sparsity=KL(0.001, 0.05))
    throughput = Throughput()
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "limit_val_batches": 0, "accelerator": "cpu"}
    quiet |= {"limit_train_batches": batches or 1.0}
    Trainer(max_epochs=1, callbacks=[NonNegative(), throughput], **quiet).fit(model, data)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])
    print(json.dumps({"streamed": "train" in data.streams, "rate": throughput.rate, "peak": peak}))


def measured(*arguments: Any) -> dict[str, Any] | None:
    """What `train` prints in a process of its own; None where it fails for want of memory."""
    script = [sys.executable, __file__, "--train", *map(str, arguments)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    if done.returncode:
        if "MemoryError" in done.stderr or "allocate memory" in done.stderr:
            return None
        raise RuntimeError(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=1500, help="memory of the process, in MB")
    parser.add_argument("--side", type=int, default=32, help="of the images, in pixels")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--batches", type=int, default=None, help="of the epoch; all of them by default")
    parser.add_argument("--train", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        folder, *numbers = options.train
        train(folder, *map(int, numbers))
        return
    limit, size = options.limit * MB, 3 * options.side**2
    with tempfile.TemporaryDirectory(dir=".") as name:
        large, small = Path(name, "large"), Path(name, "small")
        for folder, total in ((large, TIMES * limit), (small, IN_MEMORY)):
            folder.mkdir()
            write(folder, -(-total // size), options.side)
        evict(large)
        steps = options.batch_size, options.batches or 0
        in_memory = measured(small, 0, 1000, *steps)
        streamed = measured(large, limit, 0, *steps)
        refused = measured(large, limit, 1000, *steps)
        again = measured(small, 0, 1000, *steps)
    if in_memory is None or again is None or streamed is None:
        raise SystemExit(f"a process held to {options.limit} MB ran out of memory: give a higher --limit")
    if refused is not None:
        raise SystemExit(f"the limit of {options.limit} MB was not held: the array went into memory")
    print(f"array {TIMES * options.limit} MB, limit {options.limit} MB; kept in memory, the array does not fit")
    print(f"peak of resident memory   {streamed['peak'] / MB:8.0f} MB   {streamed['peak'] / limit:.2f} of the limit")
    best = max(in_memory["rate"], again["rate"])
    print(f"throughput in memory      {best:8.0f} images/s")
    print(f"throughput streamed       {streamed['rate']:8.0f} images/s   ratio {streamed['rate'] / best:.2f}")


if __name__ == "__main__":
    main()
