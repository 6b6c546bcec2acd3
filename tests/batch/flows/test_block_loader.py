"""Loaded credentials are used again for a minute, and then loaded again: they may have been replaced at the server."""

from cytobatch.batch.flows.credentials import BlockLoader
from cytobatch.storage.credentials import StoreCredentials


def test_credentials_are_kept_for_a_minute() -> None:
    seconds, loaded = [0.0], list[str]()

    def load(name: str) -> StoreCredentials:
        loaded.append(name)
        return StoreCredentials(name, f"key-{len(loaded)}", "secret")

    loader = BlockLoader(load, lambda: seconds[0])
    assert [loader("aws-credentials/a").access_key for _ in range(3)] == ["key-1"] * 3
    assert loader("aws-credentials/b").access_key == "key-2"
    seconds[0] = 59.9
    assert loader("aws-credentials/a").access_key == "key-1"
    seconds[0] = 60.0
    assert loader("aws-credentials/a").access_key == "key-3"
    assert loaded == ["aws-credentials/a", "aws-credentials/b", "aws-credentials/a"]
