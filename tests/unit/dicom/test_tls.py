"""TLS contexts, with certificates made here."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
from certificates import Certificates
from network import MemoryReceiver, serving

from node.dicom import tls
from node.errors import ConfigError


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "localhost"):
    """Return (version, cipher, names of the client) of a handshake, or raise its error."""
    ours, theirs = socket.socketpair()
    seen = []

    def serve() -> None:
        with ours:
            try:
                with server.wrap_socket(ours, server_side=True) as sock:
                    seen.append(tls.names(sock))
                    sock.sendall(b"!")
            except ssl.SSLError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with theirs, client.wrap_socket(theirs, server_hostname=name) as sock:
            if sock.recv(1) != b"!":
                raise ssl.SSLError("closed")
            return sock.version(), sock.cipher()[0], seen[0] if seen else None
    finally:
        thread.join()


def test_both_sides_agree_on_tls_1_3(certificates):
    version, _, names = shake(certificates.server(mutual=False), certificates.client())
    assert version == "TLSv1.3"
    assert names == ()


def test_tls_1_2_is_spoken_with_forward_secrecy_and_aead(certificates):
    client = certificates.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    version, cipher, _ = shake(certificates.server(mutual=False), client)
    assert version == "TLSv1.2"
    assert cipher.startswith("ECDHE-")
    assert "GCM" in cipher or "CHACHA20" in cipher


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_nothing_below_tls_1_2_is_spoken(certificates):
    client = certificates.client()
    client.minimum_version = ssl.TLSVersion.TLSv1_1
    client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shake(certificates.server(mutual=False), client)


def test_no_weak_suite_is_offered(certificates):
    for cipher in certificates.server(mutual=False).get_ciphers():
        assert cipher["aead"]
        assert "NULL" not in cipher["name"]
        assert cipher["strength_bits"] >= 128


def test_a_mutual_server_reads_the_clients_names_and_refuses_strangers(certificates):
    server = certificates.server(mutual=True)
    assert shake(server, certificates.client("node"))[2] == ("node.example", "node")
    for name in ("", "stranger", "expired"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shake(server, certificates.client(name))


def test_a_client_refuses_a_server_of_another_name(certificates):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(certificates.server(mutual=False), certificates.client(), name="pacs.example")


def test_files_that_hold_no_certificate_are_configuration_mistakes(certificates, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(ConfigError):
        tls.server_context(empty, empty)
    with pytest.raises(ConfigError):
        tls.client_context(tmp_path / "absent.pem")
    with pytest.raises(ConfigError):
        tls.server_context(
            certificates.certificate("server"), certificates.key("server"), peers=empty
        )


def test_a_certificate_is_renewed_while_the_server_runs(certificates):
    def presented(port: int) -> str:
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            certificates.client().wrap_socket(plain, server_hostname="localhost") as sock,
        ):
            return dict(part[0] for part in sock.getpeercert()["subject"])["commonName"]

    with serving(MemoryReceiver(), tls=certificates.server(mutual=False)) as server:
        assert presented(server.port) == "server"
        server.secure(
            tls.server_context(certificates.certificate("node"), certificates.key("node"))
        )
        with pytest.raises(ssl.SSLCertVerificationError, match="localhost"):
            presented(server.port)
