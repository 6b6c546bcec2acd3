import pytest

from cytobatch.batch.aws.deployment import Compute
from cytobatch.batch.aws.pricing import LIST_PRICES, ComputePrice, PriceTable, estimate, parse_prices
from cytobatch.batch.aws.sizing import Size
from cytobatch.errors import JobSpecError
from tests.support.submissions import need

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
    cost = estimate(plates, Size(2, 8192), Compute.FARGATE, 120, TABLE)
    assert cost.longest_seconds == pytest.approx(3600)
    assert cost.hours == pytest.approx(3)
    assert cost.dollars == pytest.approx(3 * (2 * 1 + 8 * 0.1 + 100 * 0.01 + 0.5))


def test_the_longest_plate_is_the_largest() -> None:
    small, large = need(0, source=10**8), need(1, source=10**11)
    cost = estimate([small, large], Size(2, 8192), Compute.FARGATE, 20, TABLE)
    assert cost.longest_seconds == estimate([large], Size(2, 8192), Compute.FARGATE, 20, TABLE).longest_seconds


def test_every_kind_of_compute_has_a_list_price() -> None:
    dollars_by_kind = {kind: estimate([need()], Size(2, 8192), kind, 200, LIST_PRICES).dollars for kind in Compute}
    assert dollars_by_kind[Compute.FARGATE_SPOT] < dollars_by_kind[Compute.FARGATE]
    assert all(0 < dollars < 1 for dollars in dollars_by_kind.values())


def test_a_users_own_table_is_read_and_a_missing_price_is_an_error() -> None:
    table = parse_prices(TABLE.model_dump_json(), "prices.json")
    assert table == TABLE
    with pytest.raises(JobSpecError, match="no price of ec2_spot"):
        estimate([need()], Size(2, 8192), Compute.EC2_SPOT, 200, table)


@pytest.mark.parametrize("text", ["{", "{}", '{"what": "x", "compute": {"fargate": {"vcpu_hour": -1}}}'])
def test_an_invalid_table_is_an_error(text: str) -> None:
    with pytest.raises(JobSpecError, match="no table of prices"):
        parse_prices(text, "prices.json")
