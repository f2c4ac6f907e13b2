"""Cameras behind TLS: their own certificates on private networks, proper ones elsewhere."""

from __future__ import annotations

import dataclasses
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from support.cameras import http, moving, talker

from pipeline.camera_url import UrlPolicy, check_camera_url
from pipeline.sources import SourceUnreachable, probe
from pipeline.sources.relay import Relay

LOCAL = UrlPolicy(allow_loopback=True)


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=camera -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_mjpeg_over_https(server_tls):
    jpegs = [cv2.imencode(".jpg", moving()(n))[1].tobytes() for n in range(60)]
    parts = [b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(j), j) for j in jpegs]
    answer = http("HTTP/1.1 200 OK\nContent-Type: multipart/x-mixed-replace;boundary=x", chunks=parts, every_s=0.05)

    def speak(connection: socket.socket, stop: threading.Event) -> None:
        with server_tls.wrap_socket(connection, server_side=True) as secured:
            answer(secured, stop)

    with talker(speak) as port:
        assert probe(f"https://127.0.0.1:{port}/video", LOCAL, 5.0).codec == "mjpeg"


def tls_in_front(context: ssl.SSLContext, port: int) -> Callable[[socket.socket, threading.Event], None]:
    """TLS around a plain server; TLS 1.3 sends session tickets first, which must not hold anybody up."""

    def carry(connection: socket.socket, stop: threading.Event) -> None:
        with (
            context.wrap_socket(connection, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", port)) as inside,
        ):
            while not stop.is_set():
                ready = [outside] if outside.pending() else select.select([outside, inside], [], [], 0.2)[0]
                for one, other in ((outside, inside), (inside, outside)):
                    if one in ready:
                        data = one.recv(65536)
                        if not data:
                            return
                        other.sendall(data)

    return carry


def test_rtsps(rtsp_server, clip, server_tls: ssl.SSLContext):
    server = rtsp_server({"gate": clip}, auth={"gate": "me:pw"}, digest=True)
    with talker(tls_in_front(server_tls, server.port)) as port:
        found = probe(f"rtsps://me:pw@127.0.0.1:{port}/gate", LOCAL, 5.0)
    assert (found.codec, found.width_px) == ("h264", 320)


def test_a_public_address_needs_a_certificate_that_is_valid(server_tls: ssl.SSLContext, tmp_path: Path):
    def speak(connection: socket.socket, _stop: threading.Event) -> None:
        server_tls.wrap_socket(connection, server_side=True).close()

    with talker(speak) as port:
        private = check_camera_url(f"https://127.0.0.1:{port}/", LOCAL)
        Relay(private, 2.0).close()
        with pytest.raises(SourceUnreachable, match="self-signed"):
            Relay(dataclasses.replace(private, public=True), 2.0)
