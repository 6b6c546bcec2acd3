"""The minimal example from nothing to nothing, on an emulator of its own."""

from concurrent.futures import Future

from tests.support.emulator.life import Life


def test_apply_plan_and_destroy(life: Future[Life]) -> None:
    lived = life.result()
    assert lived.before == []
    assert sorted(lived.deployment["queues"]) == sorted(lived.deployment["definitions"]) == ["fargate_spot"]
    assert len(lived.applied) > 15
    assert lived.second_plan.returncode == 0, lived.second_plan.stdout
    assert lived.resources == []
    assert lived.after == []
