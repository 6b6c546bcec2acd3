"""Snakemake wrapper: one plate of single-cell measurements into one profile, by `cytobatch run`.

`input.source` (or the first input) is the plate; `output.profile` (or the first output) a file that ends in .parquet.
Each of `params` is an option of cytobatch by its name: `well_profiles="median"`, `experiment=False`,
`compartments=["cells"]`. The program is started without a shell, because names of plates may have any character.
"""

__license__ = "BSD-3-Clause"

import contextlib
import subprocess
import sys

ANNOTATIONS = ("platemap", "load_data")


def flag(name, value):
    """Return the words of an option; a boolean is `--join` or `--no-join`."""
    words = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{words}" if value else f"--no-{words}"]
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return [f"--{words}", text]


def options_of(job):
    """Return the options of Snakemake's job by name."""
    options = {
        "source": job.input.get("source", job.input[0]),
        "destination": job.output.get("profile", job.output[0]),
        "workers": job.threads,
        "orchestrator": "none",
    }
    options |= {name: value for name in ANNOTATIONS if (value := job.input.get(name)) is not None}
    memory = job.resources.get("mem_mb")
    if isinstance(memory, int):
        options["memory"] = f"{memory}MB"
    scratch = job.resources.get("tmpdir")
    if isinstance(scratch, str):
        options["scratch_dir"] = scratch
    return options | dict(job.params.items())


def run(job):
    """Run cytobatch for Snakemake's job, with its output in the log, and end with its exit code."""
    words = [word for name, value in options_of(job).items() for word in flag(name, value)]
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(job.log[0], "w", encoding="utf-8")) if job.log else None  # noqa: PTH123
        done = subprocess.run(["cytobatch", "run", *words], stdout=log, stderr=log, check=False)
    sys.exit(done.returncode)


run(snakemake)  # noqa: F821
