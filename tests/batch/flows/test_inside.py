"""A plate whose flow run a server has started."""

from pathlib import Path

import pytest

from cytobatch.batch.flows.inside import resolved_job
from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError
from tests.support.plates import write_sites


def test_a_pattern_of_several_plates_is_refused_by_their_names(tmp_path: Path) -> None:
    for name in ("P1", "P2"):
        write_sites(tmp_path / name, 1)
    options = {"source": f"{tmp_path}/{{plate}}", "destination": f"{tmp_path}/out/{{plate}}"}
    with pytest.raises(ConfigurationError, match="2 plates match, but one is expected: flow parameters") as caught:
        resolved_job(PlateJob(**options, plate="*"))
    assert caught.value.why == "they are P1, P2"
    assert resolved_job(PlateJob(**options, plate="P2")).source == f"{tmp_path}/P2"
