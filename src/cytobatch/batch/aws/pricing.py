"""Estimate the time and cost of a submission, from measured rates and a table of prices.

The built-in table has the list prices of us-east-1, Linux on x86, in US dollars
(https://aws.amazon.com/fargate/pricing/, https://aws.amazon.com/ebs/pricing/). Spot prices move: Fargate Spot is
taken at 30% of Fargate, EC2 Spot at 40% of an m6i's price by the vCPU, memory included.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cytobatch.batch.aws.deployment import Compute, first_error
from cytobatch.batch.aws.sizing import PlateNeed, Size
from cytobatch.errors import JobSpecError

# A 40-site plate of 483 MB takes 3.4 s from S3 with two cores (benchmarks/README.md): 70 MB a core and second. A vCPU
# is half a core, and S3 is farther away than a loopback.
_BYTES_A_VCPU_SECOND = 25e6
_START_SECONDS = {Compute.FARGATE: 60, Compute.FARGATE_SPOT: 60, Compute.EC2_SPOT: 240}
_BILLED_AT_LEAST = 60
_ADDRESS = 0.005
"""A public IPv4 address: https://aws.amazon.com/vpc/pricing/"""


class ComputePrice(BaseModel):
    """Prices in US dollars an hour: a vCPU, a GiB of memory, a GiB of scratch disk beyond the free ones, and a machine
    itself, such as its public address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vcpu_hour: float = Field(ge=0)
    gib_hour: float = Field(ge=0)
    scratch_gib_hour: float = Field(ge=0)
    free_scratch_gib: int = Field(0, ge=0)
    machine_hour: float = Field(0, ge=0)


class PriceTable(BaseModel):
    """The prices of each kind of compute; `what` names their source, region and date."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str
    compute: dict[Compute, ComputePrice]


LIST_PRICES = PriceTable(
    what="list prices of us-east-1",
    compute={
        Compute.FARGATE: ComputePrice(
            vcpu_hour=0.04048, gib_hour=0.004445, scratch_gib_hour=0.000111, free_scratch_gib=20, machine_hour=_ADDRESS
        ),
        Compute.FARGATE_SPOT: ComputePrice(
            vcpu_hour=0.012144,
            gib_hour=0.0013335,
            scratch_gib_hour=0.000111,
            free_scratch_gib=20,
            machine_hour=_ADDRESS,
        ),
        Compute.EC2_SPOT: ComputePrice(vcpu_hour=0.0192, gib_hour=0, scratch_gib_hour=0.00011, machine_hour=_ADDRESS),
    },
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of the longest plate, hours of all plates together, and US dollars without storage and requests."""

    longest_seconds: float
    hours: float
    dollars: float


def parse_prices(text: str, where: str) -> PriceTable:
    """Parse a table of prices from JSON. Raises JobSpecError."""
    try:
        return PriceTable.model_validate_json(text)
    except ValidationError as error:
        raise JobSpecError(
            "no table of prices",
            where=where,
            why=first_error(error),
            remedy="see docs/aws.md for what it holds",
        ) from error


def estimate(
    needs: Iterable[PlateNeed], size: Size, compute: Compute, scratch_gib: int, prices: PriceTable
) -> Estimate:
    """Estimate plates on machines of this size. Raises JobSpecError if the table lacks the compute's price."""
    price = prices.compute.get(compute)
    if price is None:
        raise JobSpecError(
            f"no price of {compute}",
            where=prices.what,
            why=f"it has {', '.join(prices.compute) or 'none'}",
            remedy="add it to the table, or leave --prices out",
        )
    rate = _BYTES_A_VCPU_SECOND * size.vcpus
    seconds = [max(_BILLED_AT_LEAST, _START_SECONDS[compute] + need.source_bytes / rate) for need in needs]
    hours = sum(seconds) / 3600
    scratch = max(0, scratch_gib - price.free_scratch_gib) * price.scratch_gib_hour
    machine = size.vcpus * price.vcpu_hour + size.memory_mib / 1024 * price.gib_hour + price.machine_hour
    hourly = machine + scratch
    return Estimate(max(seconds, default=0.0), hours, hours * hourly)
