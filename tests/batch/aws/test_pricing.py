import pytest

from cytobatch.batch.aws.deployment import Compute
from cytobatch.batch.aws.pricing import LIST_PRICES, ComputePrice, PriceTable, estimate, parse_prices
from cytobatch.batch.aws.sizing import Size
from cytobatch.errors import JobSpecError
from tests.support.plates_to_submit import need

TABLE = PriceTable(
    what="a test's prices",
    compute={
        Compute.FARGATE: ComputePrice(
            vcpu_hour=1, gib_hour=0.1, scratch_gib_hour=0.01, free_scratch_gib=20, machine_hour=0.5
        )
    },
)


def test_hours_are_those_of_all_plates_and_dollars_follow() -> None:
    plates = [need(number, source=25_000_000 * 2 * (3600 - 60)) for number in range(3)]
    found = estimate(plates, Size(2, 8192), Compute.FARGATE, 120, TABLE)
    assert found.longest_seconds == pytest.approx(3600)
    assert found.hours == pytest.approx(3)
    assert found.dollars == pytest.approx(3 * (2 * 1 + 8 * 0.1 + 100 * 0.01 + 0.5))


def test_the_longest_plate_is_the_largest() -> None:
    small, large = need(0, source=10**8), need(1, source=10**11)
    found = estimate([small, large], Size(2, 8192), Compute.FARGATE, 20, TABLE)
    assert found.longest_seconds == estimate([large], Size(2, 8192), Compute.FARGATE, 20, TABLE).longest_seconds


def test_every_kind_of_compute_has_a_list_price() -> None:
    found = {kind: estimate([need()], Size(2, 8192), kind, 200, LIST_PRICES).dollars for kind in Compute}
    assert found[Compute.FARGATE_SPOT] < found[Compute.FARGATE]
    assert all(0 < dollars < 1 for dollars in found.values())


def test_a_table_of_ones_own_is_read_and_a_lack_is_told() -> None:
    table = parse_prices(TABLE.model_dump_json(), "prices.json")
    assert table == TABLE
    with pytest.raises(JobSpecError, match="no price of ec2_spot"):
        estimate([need()], Size(2, 8192), Compute.EC2_SPOT, 200, table)


@pytest.mark.parametrize("text", ["{", "{}", '{"what": "x", "compute": {"fargate": {"vcpu_hour": -1}}}'])
def test_what_is_no_table_is_told(text: str) -> None:
    with pytest.raises(JobSpecError, match="no table of prices"):
        parse_prices(text, "prices.json")
