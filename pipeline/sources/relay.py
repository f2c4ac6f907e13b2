"""The wire between the decoder and one camera.

FFmpeg resolves names by itself, follows redirects that a camera sends (RTSP has no switch for it) and cannot be
interrupted while it waits. So it is given a port on this machine instead of the camera's address, and this relay
connects that port with one of the addresses that were checked. It also wraps TLS, knows which status a
camera answered, and ends everything at once when it is closed.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable

from pipeline.camera_url import CheckedUrl
from pipeline.sources.errors import SourceError, SourceTimedOut, SourceUnreachable

__all__ = ["Relay"]

CHUNK_BYTES = 1 << 16
HEAD_LIMIT_BYTES = 1 << 20
_STATUS = re.compile(rb"(?:RTSP|HTTP)/\d\.\d +(\d{3})")
_HTTP_HEAD_END = re.compile(rb"\n\r?\n")


class Relay:
    """Carries bytes between FFmpeg on a loopback port and a checked camera address.

    Attributes:
        port: what FFmpeg connects to, on 127.0.0.1.
        status: the last status code the camera answered, or None.
        redirected: the camera tried to send us elsewhere; nothing of that reached FFmpeg.
        received_bytes: from the camera, since the relay began.
        ended_by_camera: the camera closed the connection.
    """

    def __init__(self, url: CheckedUrl, connect_timeout_s: float) -> None:
        """Connect to the camera at once. Raises SourceUnreachable or SourceTimedOut."""
        self.url = url
        self.status: int | None = None
        self.redirected = False
        self.received_bytes = 0
        self.ended_by_camera = False
        self._timeout_s = connect_timeout_s
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        first = self._connect()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4)
        self._sockets.add(self._listener)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept, first)

    def close(self) -> None:
        """Cut every connection; whoever waits on one wakes at once. Safe to call twice and from any thread."""
        self._closed.set()
        with self._lock:
            for one in self._sockets:  # shut down here, closed by the thread that waits on it
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(2.0)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=f"relay-{self.url.origin}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep(self, one: socket.socket) -> bool:
        with self._lock:
            if not self._closed.is_set():
                self._sockets.add(one)
                return True
        one.close()
        return False

    def _drop(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._sockets.difference_update(sockets)
        for one in sockets:
            one.close()

    def _connect(self) -> socket.socket:
        """To the first checked address that answers; the time is shared among them."""
        deadline = time.monotonic() + self._timeout_s
        problem: SourceError = SourceUnreachable(f"{self.url.origin} has no address.")
        for address in self.url.addresses:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            try:
                plain = socket.create_connection((address, self.url.port), timeout=left_s)
            except TimeoutError:
                problem = SourceUnreachable(f"Nothing answered at {self.url.origin} within {self._timeout_s:g} s.")
                continue
            except OSError as error:
                reason = error.strerror or "connection failed"
                problem = SourceUnreachable(f"{self.url.origin} cannot be reached: {reason.lower()}.")
                continue
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not self.url.tls:
                return plain
            try:
                return self._wrap(plain)
            except ssl.SSLError as error:
                plain.close()
                why = getattr(error, "verify_message", "") or error.reason or "handshake failed"
                problem = SourceUnreachable(f"{self.url.origin} offers no acceptable TLS: {str(why).lower()}.")
            except OSError:
                plain.close()
                problem = SourceTimedOut(f"{self.url.origin} did not finish the TLS handshake.")
        raise problem

    def _wrap(self, plain: socket.socket) -> ssl.SSLSocket:
        context = ssl.create_default_context()
        if not self.url.public:
            # Cameras on private networks have certificates they signed themselves.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(plain, server_hostname=self.url.host)

    def _accept(self, camera: socket.socket | None) -> None:
        """Pair every connection FFmpeg makes with one to the camera. RTSP makes one, HTTP one a request."""
        while not self._closed.is_set():
            try:
                decoder, _ = self._listener.accept()
            except OSError:
                break
            try:
                camera = camera or self._connect()
            except SourceError:
                decoder.close()
                continue
            if not self._keep(decoder) or not self._keep(camera):
                decoder.close()
                break
            self._start(self._carry, decoder, camera)
            camera = None
            if self.url.kind == "rtsp":
                break
        if camera is not None:
            camera.close()
        self._drop(self._listener)

    def _carry(self, decoder: socket.socket, camera: socket.socket) -> None:
        decoder.settimeout(None)
        camera.settimeout(None)
        head: bytearray | None = bytearray()
        poll = select.poll()
        poll.register(decoder, select.POLLIN)
        poll.register(camera, select.POLLIN)
        try:
            while not self._closed.is_set():
                pending = isinstance(camera, ssl.SSLSocket) and camera.pending() > 0
                ready = {camera.fileno()} if pending else {fd for fd, _ in poll.poll()}
                if decoder.fileno() in ready:
                    request = decoder.recv(CHUNK_BYTES)
                    if not request:
                        return
                    camera.sendall(request)
                    if self.url.kind == "rtsp" and request.startswith(b"PLAY "):
                        head = None  # FFmpeg follows redirects only before this
                if camera.fileno() in ready:
                    answer = self._receive(camera)
                    if answer is None:
                        continue
                    if not answer:
                        self.ended_by_camera = True
                        return
                    self.received_bytes += len(answer)
                    if head is not None:
                        head += answer
                        if self._leads_away(head):
                            return
                        if self.url.kind == "http" and _HTTP_HEAD_END.search(head):
                            head = None
                    decoder.sendall(answer)
        except OSError:
            return
        finally:
            self._drop(decoder, camera)
            with contextlib.suppress(ValueError):
                self._threads.remove(threading.current_thread())

    @staticmethod
    def _receive(camera: socket.socket) -> bytes | None:
        """What is there now; None when it was TLS's own business (a session ticket), for which nobody must wait."""
        if not isinstance(camera, ssl.SSLSocket):
            return camera.recv(CHUNK_BYTES)
        camera.settimeout(0.0)
        try:
            return camera.recv(CHUNK_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        finally:
            camera.settimeout(None)

    def _leads_away(self, head: bytearray) -> bool:
        """Whether to cut here. A header line ``Location:`` never reaches FFmpeg, wherever a hostile camera hides
        it and however it is cut into packets: carriage returns are dropped as FFmpeg drops them."""
        codes = _STATUS.findall(head)
        if codes:
            self.status = int(codes[-1])
        if b"\nlocation:" in bytes(head).replace(b"\r", b"").lower():
            self.redirected = True
            return True
        return len(head) > HEAD_LIMIT_BYTES
