"""A location that is no path and no store is refused before a request is sent, wherever it is given."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cytobatch.cli.app import main
from cytobatch.errors import ConfigurationError, ExitCode
from cytobatch.storage.access import Access, open_path, read_text
from cytobatch.storage.destination import write_text
from tests.support.plates import write_sites


class Server:
    """An HTTP server on this machine that notes each request."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        noted = self.requests

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                noted.append(str(self.rfile.readline()))
                self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.server.shutdown()
    thread.join()
    server.server.server_close()


COMMANDS = [
    ["run", "--source", "{url}/in", "--destination", "{folder}/out"],
    ["run", "--source", "{folder}/in", "--destination", "{url}/out"],
    ["run", "--source", "{folder}/in", "--destination", "{folder}/out", "--platemap", "{url}/map.txt"],
    ["run", "--source", "{folder}/in", "--destination", "{folder}/out", "--load-data", "{url}/load_data.csv"],
    ["run", "--source", "{folder}/in", "--destination", "{folder}/out", "--cache-dir", "{url}/cache"],
    ["run", "--job-spec", "{url}/spec.json"],
    ["validate", "--job-spec", "{url}/spec.json"],
    ["validate", "--job-spec", '{{"plates": [{{"source": "{url}/in", "destination": "{folder}/out"}}]}}'],
    ["plan", "--source", "{url}/{{plate}}", "--plate", "*", "--destination", "{folder}/out"],
    ["plan", "--source", "{{plate}}/x", "--plate", "{url}", "--destination", "{folder}/out"],
    ["submit", "--source", "{folder}/in", "--destination", "{folder}/out", "--deployment", "{url}/deployment.json"],
    ["status", "job", "--deployment", "{url}/deployment.json"],
    ["collect", "--source", "{folder}/in", "--destination", "{url}/out", "--to", "{folder}/batch"],
    ["collect", "--source", "{folder}/in", "--destination", "{folder}/out", "--to", "{url}/batch"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_request_is_sent_to_a_url(
    words: list[str], server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sites(tmp_path / "in", 1)
    code = main([word.format(url=server.url, folder=tmp_path) for word in words])
    assert code == ExitCode.CONFIGURATION
    assert "fix:" in capsys.readouterr().err
    assert server.requests == []
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_server_notes_requests(server: Server) -> None:
    import socket  # noqa: PLC0415

    with socket.create_connection(server.server.server_address) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        connection.recv(1)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "location", ["https://user:hunter2@host/x", "s3://hunter2@b/x", "az://c/x?sig=hunter2", "x\0y"]
)
def test_storage_itself_opens_paths_and_stores_alone(location: str) -> None:
    for use in (open_path, read_text, lambda uri, access: write_text(uri, "", access)):
        with pytest.raises(ConfigurationError) as caught:
            use(location, Access())
        assert "hunter2" not in str(caught.value)


SECRETS = {
    "passwd": "root:x:0:0:hunter2:/root:/bin/bash\n",
    "table": "hunter2,hunter2\nhunter2,hunter2\n",
    "tabs": "hunter2\thunter2\nhunter2\thunter2\n",
    "ragged": "well_position\tx\nhunter2\n",
    "quotes": 'hunter2,"hunter2\nhunter2',
    "json": '{"hunter2": "hunter2"}',
    "ini": "[default]\naws_secret_access_key = hunter2\n",
    "yaml": "a: !hunter2 *hunter2\n",
    "binary": "hunter2\x00hunter2",
    "twice": "well_position,hunter2,hunter2\nA01,hunter2,hunter2\n",
}
READERS = [
    ["plan", "--source", "{folder}/in", "--destination", "{folder}/out", "--platemap", "{file}"],
    ["plan", "--source", "{folder}/in", "--destination", "{folder}/out", "--platemap", "{folder}/maps"],
    ["plan", "--source", "{folder}/in", "--destination", "{folder}/out", "--load-data", "{file}"],
    ["validate", "--job-spec", "{file}"],
    ["status", "job", "--deployment", "{file}"],
]


@pytest.mark.parametrize("content", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_a_file_that_is_not_what_it_should_be_is_not_quoted(
    words: list[str], content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sites(tmp_path / "in", 1)
    (tmp_path / "maps").mkdir()
    for name in ("secret.txt", "maps/barcode_platemap.csv"):
        (tmp_path / name).write_text(content)
    code = main([word.format(folder=tmp_path, file=tmp_path / "secret.txt") for word in words])
    assert code in (ExitCode.CONFIGURATION, ExitCode.INPUT_DATA)
    printed = capsys.readouterr()
    assert "fix:" in printed.err
    assert "hunter2" not in printed.err + printed.out


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret.txt", ".."])
def test_a_list_of_platemaps_leads_nowhere_else(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sites(tmp_path / "in", 1)
    (tmp_path / "maps" / "platemap").mkdir(parents=True)
    (tmp_path / "maps" / "secret.txt").write_text("well_position\tx\nA01\thunter2\n")
    (tmp_path / "maps" / "barcode_platemap.csv").write_text(f"Assay_Plate_Barcode,Plate_Map_Name\nP1,{name}\n")
    words = ["--source", str(tmp_path / "in"), "--destination", str(tmp_path / "out"), "--plate", "P1"]
    assert main(["plan", *words, "--platemap", str(tmp_path / "maps")]) == ExitCode.INPUT_DATA
    assert "platemap outside its folder" in capsys.readouterr().err
