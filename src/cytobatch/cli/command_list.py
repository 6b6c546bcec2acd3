"""The commands in the order in which people use them: function, line in the help, usage and examples of each."""

from dataclasses import dataclass
from enum import Enum


class CommandGroup(Enum):
    """The groups of commands in the order in which they are shown. The value of each is its title."""

    PLATE = "Convert a plate"
    SPEC = "Job specs"
    AWS = "Many plates on AWS Batch"
    PREFECT = "Prefect"


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes
    ----------
    function
        The module and the name of its function, which is the command's.
    line
        Its line in the help, which is the first line of the function's docstring.
    usage
        Its arguments.
    examples
        Command lines.
    has_options
        Whether its flags are options of a plate, of which `--help` shows the common ones.
    """

    group: CommandGroup
    function: str
    line: str
    usage: str
    examples: tuple[str, ...]
    has_options: bool = False

    @property
    def name(self) -> str:
        """What is typed after `cytobatch`."""
        return self.function.partition(":")[2]


COMMANDS = (
    Command(
        CommandGroup.PLATE,
        "cytobatch.cli.example_command:example",
        "Make a small made-up plate to try things on.",
        "FOLDER [OPTIONS]",
        (
            "cytobatch example plate",
            "cytobatch example plate --platemap platemap.txt --wells 24",
            "cytobatch example plate --kind sqlite",
        ),
    ),
    Command(
        CommandGroup.PLATE,
        "cytobatch.cli.commands:inspect",
        "Show what lies at a path: a source, a result or a Parquet file, its tables and columns, and a few rows.",
        "PATH [OPTIONS]",
        ("cytobatch inspect plate", "cytobatch inspect profiles", "cytobatch inspect s3://my-screen/BR1 --profile lab"),
    ),
    Command(
        CommandGroup.PLATE,
        "cytobatch.cli.commands:plan",
        "Show what `run` would do with a plate, without doing it.",
        "SOURCE [DESTINATION] [OPTIONS]",
        ("cytobatch plan plate", "cytobatch plan s3://my-screen/BR1 --memory 4GiB"),
        has_options=True,
    ),
    Command(
        CommandGroup.PLATE,
        "cytobatch.cli.commands:run",
        "Convert a plate, or every plate of a job spec.",
        "SOURCE DESTINATION [OPTIONS]",
        (
            "cytobatch run plate profiles",
            "cytobatch run plate plate.parquet --platemap platemap.txt",
            "cytobatch run s3://my-screen/BR1 s3://my-profiles/BR1 --profile lab",
            "cytobatch run 's3://my-screen/{plate}' 'profiles/{plate}' --plate 'BR*'",
            "cytobatch run --job-spec plates.yaml",
        ),
        has_options=True,
    ),
    Command(
        CommandGroup.PLATE,
        "cytobatch.cli.commands:verify",
        "Check a published result against its report, and with --source against the source.",
        "RESULT [OPTIONS]",
        ("cytobatch verify profiles", "cytobatch verify profiles --source plate --cells all"),
    ),
    Command(
        CommandGroup.SPEC,
        "cytobatch.cli.commands:validate",
        "Check the options of `run` and a job spec together, without touching the plates.",
        "[SOURCE DESTINATION] [OPTIONS]",
        ("cytobatch validate --job-spec plates.yaml",),
        has_options=True,
    ),
    Command(
        CommandGroup.SPEC,
        "cytobatch.cli.commands:schema",
        "Print the job spec's JSON Schema.",
        "[OPTIONS]",
        ("cytobatch schema > job-spec.schema.json", "cytobatch schema --log > log.schema.json"),
    ),
    Command(
        CommandGroup.AWS,
        "cytobatch.cli.commands:submit",
        "Submit the plates to AWS Batch, as one array job with a child for each.",
        "SOURCE DESTINATION [OPTIONS]",
        (
            "cytobatch submit 's3://in/{plate}' 's3://out/{plate}' --plate '*' --dry-run",
            "cytobatch submit --job-spec plates.yaml --deployment deployment.json",
        ),
        has_options=True,
    ),
    Command(
        CommandGroup.AWS,
        "cytobatch.cli.commands:status",
        "Show plates by state, and why plates failed; on a terminal, follow them until all have ended.",
        "JOB... [OPTIONS]",
        ("cytobatch status 7f0c9a1e-0c2f-4a53-9d3b-0f5a4b0c8d11", "cytobatch status JOB --once"),
    ),
    Command(
        CommandGroup.AWS,
        "cytobatch.cli.commands:collect",
        "Gather the run reports of all plates into one table and one page.",
        "SOURCE DESTINATION --to FOLDER [OPTIONS]",
        (
            "cytobatch collect 's3://in/{plate}' 's3://out/{plate}' --plate '*' --to all",
            "cytobatch collect --job-spec plates.yaml --to overview",
        ),
        has_options=True,
    ),
    Command(
        CommandGroup.PREFECT,
        "cytobatch.cli.commands:serve",
        "Run plates on this machine whenever a Prefect server has a run for it.",
        "[OPTIONS]",
        ("PREFECT_API_URL=http://localhost:4200/api cytobatch serve --limit 2",),
    ),
    Command(
        CommandGroup.PREFECT,
        "cytobatch.cli.commands:pool",
        "Print the base job template of a Prefect work pool on ECS, for what Terraform set up.",
        "[OPTIONS]",
        ("cytobatch pool --deployment deployment.json > pool.json",),
    ),
    Command(
        CommandGroup.PREFECT,
        "cytobatch.cli.commands:prefect",
        "Run Prefect's own command line, as its workers do in a container: prefect flow-run execute.",
        "WORD...",
        ("cytobatch prefect version",),
    ),
)
