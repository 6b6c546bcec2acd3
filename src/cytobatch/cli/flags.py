"""The flags that commands have in common, and those of `submit` and `status`.

Help is shown from these types alone, so this module imports no reader, no object store and no cloud service.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from cytobatch.batch.aws.deployment import Compute
from cytobatch.config.log_format import LogFormat

DebugFlag = Annotated[bool, Parameter(help="Show tracebacks and Prefect's log; or CYTOBATCH_DEBUG=1.", negative=())]
DeploymentFlag = Annotated[
    str | None,
    Parameter(help="What Terraform set up: a path or URI of `terraform output -json`; or CYTOBATCH_DEPLOYMENT."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFlags:
    """The flags beside the options of every command that reads a job spec. `main` reads `--debug` itself too."""

    job_spec: Annotated[
        str | None,
        Parameter(metavar="SPEC", help="A job spec, for one or many plates: a path, a URI, or the JSON itself."),
    ] = None
    debug: DebugFlag = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFlags:
    """How much of a run is shown, and how. `main` reads these flags itself, because errors of flags are shown too."""

    log_format: Annotated[
        LogFormat | None,
        Parameter(metavar="text|json", help="Write events as text, or each as JSON; or CYTOBATCH_LOG_FORMAT."),
    ] = None
    quiet: Annotated[bool, Parameter(negative=(), help="Show errors alone; or CYTOBATCH_QUIET=1.")] = False
    verbose: Annotated[
        bool,
        Parameter(negative=(), help="Show each table's outcome and each step's time, too; or CYTOBATCH_VERBOSE=1."),
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags(SpecFlags):
    """The flags beside the options of the commands that decide which plates are converted."""

    force: Annotated[
        bool, Parameter(negative=(), help="Convert plates again whose profiles are up to date: --no-skip-done.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitFlags(RunFlags):
    """The flags of `submit` beside the options and the deployment."""

    compute: Annotated[
        Compute | None,
        Parameter(help="fargate, fargate_spot or ec2_spot; by default the cheapest with a large enough scratch disk."),
    ] = None
    prices: Annotated[str | None, Parameter(help="A table of prices for the estimate: a path or URI of JSON.")] = None
    share: Annotated[
        str | None, Parameter(help="The share of a fair queue that jobs count to; by default the deployment's.")
    ] = None
    name: Annotated[
        str | None, Parameter(help="What the jobs are called; by default the batch, or the first plate.")
    ] = None
    dry_run: Annotated[
        bool, Parameter(negative=(), help="Show what would be submitted, its needs and cost, and do nothing.")
    ] = False
    keep_going: Annotated[
        bool, Parameter(negative=(), help="Submit plates that look invalid too; they fail alone.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeFlags:
    """The flags of `serve`. The server is the one that PREFECT_API_URL names."""

    name: Annotated[str, Parameter(help="The name of the deployment, such as the machine's.")] = "cytobatch"
    limit: Annotated[int, Parameter(help="How many plates run at once.", validator=validators.Number(gte=1))] = 1
    debug: DebugFlag = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyFlags:
    """The flags of `verify` beside the result."""

    source: Annotated[str | None, Parameter(help="The source; rows are derived from it again, and compared.")] = None
    cells: Annotated[
        Literal["all"] | Annotated[int, validators.Number(gte=1)],
        Parameter(metavar="N|all", help="How many rows are derived again, drawn from up to 32 exports; or all."),
    ] = 1000
    seed: Annotated[int, Parameter(help="Another number draws other rows.")] = 0
    json: Annotated[bool, Parameter(negative=(), help="Print the result as JSON.")] = False
    profile: Annotated[str | None, Parameter(help="AWS profile.")] = None
    endpoint_url: Annotated[str | None, Parameter(help="S3 API other than AWS's.")] = None
    no_sign_request: Annotated[bool, Parameter(negative=(), help="Read a public source without credentials.")] = False
    scratch_dir: Annotated[Path | None, Parameter(help="Where fetched files lie.")] = None
    debug: DebugFlag = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectFlags:
    """The flags of `inspect` beside the path."""

    rows: Annotated[int, Parameter(help="How many rows are shown; 0 for none.", validator=validators.Number(gte=0))] = 5
    json: Annotated[bool, Parameter(negative=(), help="Print what is found as JSON.")] = False
    profile: Annotated[str | None, Parameter(help="AWS profile.")] = None
    endpoint_url: Annotated[str | None, Parameter(help="S3 API other than AWS's.")] = None
    no_sign_request: Annotated[bool, Parameter(negative=(), help="Read a public bucket without credentials.")] = False
    requester_pays: Annotated[bool, Parameter(negative=(), help="Agree to pay for reading the bucket.")] = False
    scratch_dir: Annotated[Path | None, Parameter(help="Where fetched files lie.")] = None
    debug: DebugFlag = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFlags:
    """The flags of `status` beside the deployment."""

    log_group: Annotated[
        str | None, Parameter(help="Where the jobs' logs are, if elsewhere than the deployment says.")
    ] = None
    once: Annotated[bool, Parameter(negative=(), help="Do not follow on a terminal.")] = False
    every: Annotated[float, Parameter(help="Seconds between two looks.")] = 10.0
    profile: Annotated[str | None, Parameter(help="AWS profile.")] = None
    credentials: Annotated[
        str | None, Parameter(help="A Prefect block with AWS credentials, in place of a profile.")
    ] = None
    endpoint_url: Annotated[str | None, Parameter(help="S3 API of the resolved specs, other than AWS's.")] = None
    debug: DebugFlag = False
