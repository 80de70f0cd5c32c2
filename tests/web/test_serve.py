"""The server behind its port: HTTPS, a port that is taken, a second server, the link that stands before it answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path

import httpx
import pytest

from agent_bridge.store.lock import StateInUse
from sandbox.words import Unavailable
from web.serve import Running, _listen, local_page, running, write_link
from web.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A state directory of its own, any free port, quiet logs."""
    return Settings(state_dir=tmp_path / "state", port=0, log_level="error")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", cert, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


async def test_it_speaks_https(settings: Settings, certificate: tuple[Path, Path]) -> None:
    """With a certificate and a key the port speaks HTTPS, and links and cookies follow."""
    cert, key = certificate
    async with running(settings.model_copy(update={"tls_cert": cert, "tls_key": key})) as server:
        trust = ssl.create_default_context(cafile=str(cert))
        async with httpx.AsyncClient(verify=trust, headers={"Origin": server.url}) as http:
            health = await http.get(f"{server.url}/healthz")
            secret = (await server.link()).partition("#")[2]
            answer = await http.post(f"{server.url}/v1/links/redeem", json={"token": secret})

    assert server.url.startswith("https://127.0.0.1:")
    assert health.json()["status"] == "ok"
    assert "Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers


async def test_a_taken_port_is_named(settings: Settings) -> None:
    """A port that somebody listens on is refused before anything is started, naming it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
            async with running(settings.model_copy(update={"port": port})):
                pass
    assert not (settings.state_dir / "baton.db").exists()


async def test_a_second_server_is_refused(settings: Settings) -> None:
    """Two servers never work on one state directory; the refusal names the process that does."""
    async with running(settings) as first:
        with pytest.raises(StateInUse, match="stop it or set another BATON_STATE_DIR"):
            async with running(settings):
                pass
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{first.url}/healthz")).status_code == 200


async def test_the_port_answers_only_after_what_was_prepared(settings: Settings) -> None:
    """Whoever waits for the port finds what was made before it: nothing answers while it is being made."""
    tried: list[str] = []

    async def prepare(server: Running) -> None:
        port = server.services.settings.port
        try:
            await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            tried.append(type(error).__name__)

    async with running(settings, prepare) as server, httpx.AsyncClient() as http:
        assert (await http.get(f"{server.url}/healthz")).status_code == 200

    assert tried == ["ConnectionRefusedError"]


async def test_a_local_file_is_served_to_the_sandbox(tmp_path: Path) -> None:
    """A file opens over loopback HTTP, because a sandbox opens nothing else; an address stays as it is."""
    page = tmp_path / "a page.html"
    page.write_text("<title>here</title>")
    with local_page(str(page)) as url:
        body = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read())
    with local_page("https://example.com/x") as other:
        pass

    assert b"here" in body
    assert other == "https://example.com/x"


async def test_neighbours_of_a_local_file_are_few(tmp_path: Path) -> None:
    """Below its directory, and neither hidden, nor listed, nor reached by a link that leads out."""
    room = tmp_path / "room"
    (room / "sub").mkdir(parents=True)
    for name in ("page.html", "style.css", ".netrc", "sub/more.js"):
        (room / name).write_text("x")
    (tmp_path / "outside").write_text("x")
    (room / "out").symlink_to(tmp_path / "outside")
    with local_page(str(room / "page.html")) as url:
        base = url.rpartition("/")[0]
        async with httpx.AsyncClient() as http:
            answers = {
                path: (await http.get(base + path)).status_code
                for path in ("/page.html", "/style.css", "/sub/more.js", "/", "/sub/", "/.netrc", "/out", "/none")
            }

    assert [path for path, status in answers.items() if status == 200] == ["/page.html", "/style.css", "/sub/more.js"]
    assert set(answers.values()) == {200, 404}


def test_a_link_file_is_for_its_owner(tmp_path: Path) -> None:
    """Nobody else can read the link, also where a readable file stood before."""
    file = tmp_path / "link"
    file.write_text("old")
    file.chmod(0o644)
    write_link(file, "http://127.0.0.1:1/link#x")

    assert file.read_text() == "http://127.0.0.1:1/link#x"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_answers_do_not_wait_for_acknowledgements() -> None:
    """What is accepted sends small answers at once: else the second of two waits 40 ms for the first's TCP ACK."""
    listening = _listen(Settings(port=0))
    with listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
