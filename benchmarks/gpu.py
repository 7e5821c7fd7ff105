"""Checks partae on a GPU and times it there, within ten minutes.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --accelerator cpu --size tiny

runs each check of `gpu_checks.py` in a process of its own, which is ended when its time is over, and after each writes
all that was found so far to the result file. A check that fails does not stop the others; the exit status tells whether
all are right. The second line tries the checks themselves where there is no GPU. Nothing is fetched: Fashion-MNIST must
lie in data/.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MINUTES = 10.0  # of all checks
# each check, and the seconds that it may take of the ten minutes; what takes long on a slow card comes last
CHECKS = {"machine": 60, "tests": 180, "default": 120, "resume": 150, "step": 120, "stack": 90, "nmf": 60, "sweep": 240}
SCRIPT = Path(__file__).with_name("gpu_checks.py")


def check(name: str, accelerator: str, size: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Run a check in a process of its own, for so many ``seconds`` at most; what it found, with ``ok``."""
    found: dict[str, Any] = {"ok": False}
    start = time.perf_counter()
    command = [sys.executable, str(SCRIPT), name, accelerator, size, str(folder)]
    paths = [str(SCRIPT.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    options: dict[str, Any] = {"env": {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, "start_new_session": True}
    with (folder / f"{name}.log").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **options)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
        finally:
            status = process.poll()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it has started
            process.wait()
        log.seek(0)
        said = log.read()
    with contextlib.suppress(FileNotFoundError):
        found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    if status != 0:
        why = f"stopped after {seconds:.0f} seconds" if status is None else f"ended with status {status}"
        found |= {"ok": False, "error": f"{why}\n{said[-2000:]}"}
    return {**found, "seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--accelerator", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="that all checks may take")
    parser.add_argument("--result", type=Path, default=Path("outputs/gpu.json"), help="the file to write")
    options = parser.parse_args()
    start, scale = time.perf_counter(), options.minutes / MINUTES
    checks: dict[str, dict[str, Any]] = {name: {"ok": False, "error": "no time was left"} for name in CHECKS}
    options.result.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, most in CHECKS.items():
            seconds = min(scale * most, 60 * options.minutes - (time.perf_counter() - start))
            if seconds > 0:
                found = checks[name] = check(name, options.accelerator, options.size, Path(folder), seconds)
                print(f"{name:<10}{'ok' if found['ok'] else 'FAILED':<8}{found['seconds']:6.1f} s", flush=True)
            ok = all(each["ok"] for each in checks.values())
            report = {"accelerator": options.accelerator, "size": options.size, "ok": ok, "checks": checks}
            options.result.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"Written to {options.result}")
    sys.exit(not ok)


if __name__ == "__main__":
    main()
