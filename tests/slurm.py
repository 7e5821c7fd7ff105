"""A stand-in for SLURM: the commands that submitit calls, on this machine, where two jobs run at a time."""

from __future__ import annotations

import sys
from pathlib import Path

SBATCH = r"""
import os, re, subprocess
from concurrent.futures import ThreadPoolExecutor

script, states = Path(sys.argv[-1]).read_text(), Path(__file__).with_name("states")
array = re.search(r"^#SBATCH --array=(\d+)-(\d+)", script, re.M)
tasks = range(int(array[1]), int(array[2]) + 1) if array else [None]
number = f"{1 + len(list(states.iterdir()))}"
(states / number).touch()
print("Submitted batch job", number, flush=True)

def run(task):
    own = {"SLURM_JOB_ID": number}
    if array:
        own = {"SLURM_JOB_ID": f"{number}_{task}", "SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": f"{task}"}
    done = subprocess.run(["bash", "-c", script], env={**os.environ, **own})
    with (states / number).open("a") as file:
        print(own["SLURM_JOB_ID"], "FAILED" if done.returncode else "COMPLETED", "here", sep="|", file=file)

if not os.fork():  # the job goes on while the command ends
    for stream in range(3):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    with ThreadPoolExecutor(2) as two:
        list(two.map(run, tasks))
"""
SRUN = r"""
import os, subprocess, time

parts = {"%j": "JOB_ID", "%A": "ARRAY_JOB_ID", "%a": "ARRAY_TASK_ID"}
names = {"%t": "0", **{mark: os.environ.get(f"SLURM_{part}", "") for mark, part in parts.items()}}

def opened(path):
    for mark, name in names.items():
        path = path.replace(mark, name)
    end = time.monotonic() + 60  # submitit makes the folder when sbatch has ended
    while not Path(path).parent.is_dir() and time.monotonic() < end:
        time.sleep(0.1)
    return open(path, "a")

_, unbuffered, output, out, error, err, *command = sys.argv
assert (unbuffered, output, error) == ("--unbuffered", "--output", "--error"), sys.argv
sys.exit(subprocess.run(command, stdout=opened(out), stderr=opened(err)).returncode)
"""
SACCT = r"""
print("JobID|State|NodeList")
for job in Path(__file__).with_name("states").iterdir():
    print(job.read_text(), end="")
"""


def stand_in(folder: Path) -> Path:
    """Write sbatch, srun and sacct into a new folder, which is to stand first on the PATH."""
    (folder / "states").mkdir(parents=True)
    for name, code in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        command = folder / name
        command.write_text(f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n{code}")
        command.chmod(0o755)
    return folder
