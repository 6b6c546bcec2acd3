"""The minimal example, applied to an empty account and destroyed, on an emulator of its own."""

from tests.support.emulator.life import Life


def test_apply_plan_and_destroy(life: Life) -> None:
    assert life.before == []
    assert sorted(life.deployment["queues"]) == sorted(life.deployment["definitions"]) == ["fargate_spot"]
    assert len(life.applied) > 15
    assert life.second_plan.returncode == 0, life.second_plan.stdout
    assert life.resources == []
    assert life.after == []
