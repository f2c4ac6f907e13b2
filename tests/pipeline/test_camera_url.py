from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.camera_url import CameraUrlError, UrlPolicy, check_camera_url, mask_url

OPEN = UrlPolicy(allow_private=True, allow_loopback=True)
PRIVATE = UrlPolicy(allow_private=True)
PUBLIC = UrlPolicy(allow_private=False)


@pytest.mark.parametrize("url", ["http//camera/x", "RTSP//192.168.1.2/stream"])
def test_a_colon_that_is_missing_is_named(url: str) -> None:
    with pytest.raises(CameraUrlError, match="lacks a colon"):
        check_camera_url(url, OPEN)


def names(**table: str | list[str]):
    """A resolver that knows only these names."""

    def resolve(host: str, _port: int) -> list[str]:
        found = table.get(host.replace(".", "_").replace("-", "_"))
        if found is None:
            raise OSError("unknown")
        return [found] if isinstance(found, str) else found

    return resolve


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        True,
        b"rtsp://192.168.1.2/",
        ["rtsp://192.168.1.2/"],
        {"url": "rtsp://192.168.1.2/"},
        ("rtsp", "192.168.1.2"),
        "",
        "-i",
        "-i rtsp://192.168.1.2/",
        "--help",
        "exec:cat /etc/passwd",
        "EXEC:cat",
        "concat:a.mp4|b.mp4",
        "concatf:list",
        "pipe:0",
        "pipe:",
        "data:video/mp4;base64,AA",
        "tcp://192.168.1.2:80",
        "udp://192.168.1.2:80",
        "rtp://192.168.1.2",
        "rtmp://192.168.1.2/x",
        "subfile:,,:/etc/passwd",
        "crypto:file",
        "async:file",
        "cache:rtsp://192.168.1.2",
        "hls+http://192.168.1.2/x.m3u8",
        "ffrtsp:x",
        "gopher://192.168.1.2",
        "lavfi:testsrc",
        "unix:/run/x",
        "srt://192.168.1.2",
        "javascript:alert(1)",
        "ftp://192.168.1.2/x",
        "smb://192.168.1.2/x",
        "rtsp:192.168.1.2/x",
        "rtsp:/192.168.1.2/x",
        "rtsp://",
        "rtsp:///x",
        "rtsp://:554/x",
        "rtsp://user@/x",
        "rtsp://192.168.1.2/a b",
        " rtsp://192.168.1.2/",
        "rtsp://192.168.1.2/\n-i",
        "rtsp://192.168.1.2/\r\nX: y",
        "rtsp://192.168.1.2/\x00",
        "rtsp://192.168.1.2/\u202egpj",
        "rtsp://192.168.1.2/\u200b",
        "rtsp://192.168.1.2/\ud800",
        "rtsp://192.168.1.2/\t",
        "rtsp://192.168.1.2/" + "a" * 2048,
        "rtsp://192.168.1.2/\u00a0x",
        "rtsp://192.168.1.2/a#b",
        "rtsp://192.168.1.2/a\\b",
        "rtsp://192.168.1.2:0/",
        "rtsp://192.168.1.2:99999/",
        "rtsp://192.168.1.2:0000099999/",
        "rtsp://192.168.1.2:5x4/",
        "rtsp://192.168.1.2:-1/",
        "rtsp://192.168.1.2:١/",
        "rtsp://u:p%0d%0aX:y@192.168.1.2/",
        "rtsp://u%00:p@192.168.1.2/",
        "rtsp://:p@192.168.1.2/",
        "rtsp://a%3ab:p@192.168.1.2/",
        "rtsp://[::1/",
        "rtsp://[::1]x/",
        "rtsp://[fe80::1%25eth0]/",
        "rtsp://[1::2::3]/",
        "rtsp://a..b/",
        "rtsp://-a/",
        "rtsp://a_b!/",
        "rtsp://a%2eb/",
        "rtsp://" + "a" * 64 + "/",
        "rtsp://exa\\mple/",
    ],
)
def test_what_is_no_camera_is_refused_with_a_sentence(url):
    with pytest.raises(CameraUrlError, match=r"^[A-Z].*\.$") as caught:
        check_camera_url(url, OPEN, resolve=names())
    assert "passwd" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "0",
        "0x0",
        "1.2.3",
        "192.168.1.256",
        "192.168.1.1.",
        "3232235777",
        "1.2.3.4.5",
        "foo.1",
        "foo.0x1",
    ],
)
def test_numbers_that_are_no_plain_address_are_refused(host):
    with pytest.raises(CameraUrlError, match="four decimal numbers"):
        check_camera_url(f"rtsp://{host}/", OPEN, resolve=lambda *_: pytest.fail("a number was resolved"))


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.1.1",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[::169.254.169.254]",
        "0.0.0.0",  # noqa: S104
        "0.1.2.3",
        "[::]",
        "224.0.0.1",
        "239.1.1.1",
        "[ff02::1]",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "[::ffff:0.0.0.0]",
        "[::ffff:224.0.0.1]",
        "[2001:db8::1]",
        "[100::1]",
    ],
)
def test_addresses_that_are_never_cameras(host):
    with pytest.raises(CameraUrlError):
        check_camera_url(f"rtsp://{host}/", OPEN)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"]
)
def test_loopback_is_a_matter_of_policy(host):
    with pytest.raises(CameraUrlError, match="allow_loopback"):
        check_camera_url(f"http://{host}/", PRIVATE)
    assert check_camera_url(f"http://{host}/", OPEN).port == 80


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.1",
        "192.168.1.1",
        "100.64.1.1",
        "[fd12::1]",
        "[::ffff:10.0.0.1]",
        "[fec0::1]",
    ],
)
def test_private_networks_are_a_matter_of_policy(host):
    with pytest.raises(CameraUrlError, match="allow_private"):
        check_camera_url(f"rtsp://{host}/", PUBLIC)
    checked = check_camera_url(f"rtsp://{host}/", PRIVATE)
    assert not checked.public


def test_every_address_of_a_name_is_checked():
    resolve = names(cam_lan=["8.8.8.8", "127.0.0.1"], ok_lan=["8.8.8.8", "2001:4860:4860::8888"], gone_lan=[])
    with pytest.raises(CameraUrlError, match="this machine"):
        check_camera_url("rtsp://cam.lan/", PRIVATE, resolve=resolve)
    checked = check_camera_url("rtsps://OK.lan./x", PUBLIC, resolve=resolve)
    assert checked.addresses == ("8.8.8.8", "2001:4860:4860::8888")
    assert (checked.tls, checked.public, checked.port) == (True, True, 322)
    with pytest.raises(CameraUrlError, match="no address"):
        check_camera_url("rtsp://gone.lan/", PRIVATE, resolve=resolve)
    with pytest.raises(CameraUrlError, match="could not be resolved"):
        check_camera_url("rtsp://unknown.lan/", PRIVATE, resolve=resolve)


def test_localhost_by_name_is_this_machine():
    with pytest.raises(CameraUrlError, match="this machine"):
        check_camera_url("rtsp://localhost/", PRIVATE)


@pytest.mark.parametrize(
    ("login", "username", "password"),
    [
        ("admin:secret@", "admin", "secret"),
        ("admin:p@ss:w#rd@", "admin", "p@ss:w#rd"),
        ("admin:p%40ss%3Aw%23rd%2F%3F@", "admin", "p@ss:w#rd/?"),
        ("admin:100%sure@", "admin", "100%sure"),
        ("admin:@", "admin", ""),
        ("admin@", "admin", None),
        ("", None, None),
        ("user%40home:pw@", "user@home", "pw"),
        ("admin:evil@8.8.8.8:80#@", "admin", "evil@8.8.8.8:80#"),
    ],
)
def test_credentials_raw_and_percent_encoded(login, username, password):
    checked = check_camera_url(f"rtsp://{login}192.168.1.20:8554/live/ch1?sub=1&u=a@b", PRIVATE)
    assert (checked.username, checked.password) == (username, password)
    assert (checked.host, checked.port, checked.addresses) == ("192.168.1.20", 8554, ("192.168.1.20",))
    assert checked.target == "/live/ch1?sub=1&u=a@b"
    if password:
        assert password not in repr(checked)
    # What FFmpeg is given means the same to every parser: nothing raw is left in the login.
    given_on = checked.through("127.0.0.1", 9)
    assert given_on.partition("://")[2].partition("/")[0].rpartition("@")[2] == "127.0.0.1:9"
    assert check_camera_url(given_on, OPEN).password == password


def test_a_raw_slash_in_a_password_is_explained():
    with pytest.raises(CameraUrlError, match="%2F") as caught:
        check_camera_url("rtsp://admin:se/cret@192.168.1.20/x", PRIVATE)
    assert "cret" not in str(caught.value)


def test_files_only_below_the_roots(tmp_path: Path):
    root, outside = tmp_path / "videos", tmp_path / "secret"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    for path in (root / "a b.mp4", root / "sub" / "ü.mp4", outside / "s.mp4"):
        path.write_bytes(b"x")
    (root / "link.mp4").symlink_to(outside / "s.mp4")
    (root / "out").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "fifo.mp4")
    policy = UrlPolicy(file_roots=(root,))
    for good in (root / "a b.mp4", root / "sub" / "ü.mp4"):
        assert check_camera_url(str(good), policy).file == good
        assert check_camera_url(good.as_uri(), policy).file == good
    assert check_camera_url(f"file:{root}/sub/../a b.mp4", policy).kind == "file"
    for bad in (
        f"{outside}/s.mp4",
        f"{root}/../secret/s.mp4",
        f"{root}/link.mp4",
        f"{root}/out/s.mp4",
        f"{root}/loop",
        f"file://{root}/%2e%2e/secret/s.mp4",
        f"file://elsewhere{root}/a.mp4",
        "/etc/passwd",
        "s.mp4",
        str(root),
        f"{root}/none.mp4",
        f"{root}/fifo.mp4",
        f"file:{root}/a%00.mp4",
        "file:",
        "/dev/zero",
        f"{root}/a b.mp4\x00",
    ):
        with pytest.raises(CameraUrlError):
            check_camera_url(bad, policy)
    with pytest.raises(CameraUrlError, match="camera_file_roots"):
        check_camera_url(str(root / "a b.mp4"), PRIVATE)


def test_whether_a_file_outside_exists_is_not_told(tmp_path: Path):
    policy = UrlPolicy(file_roots=(tmp_path,))
    texts = set()
    for path in ("/etc/passwd", "/etc/no-such-file"):
        with pytest.raises(CameraUrlError) as caught:
            check_camera_url(path, policy)
        texts.add(str(caught.value))
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("rtsp://admin:secret@10.0.0.1/x", "rtsp://***@10.0.0.1/x"),
        ("open rtsp://admin:se@c#r:et@10.0.0.1:554/x failed", "open rtsp://***@10.0.0.1:554/x failed"),
        ("rtsp://admin:se/cret@10.0.0.1/x", "rtsp://***@10.0.0.1/x"),
        ("rtsp://10.0.0.1/x?u=a@b", "rtsp://10.0.0.1/x?u=a@b"),
        ("http://10.0.0.1/v?user=a&password=secret&ch=1", "http://10.0.0.1/v?user=***&password=***&ch=1"),
        ("http://10.0.0.1/v?authToken=secret", "http://10.0.0.1/v?authToken=***"),
        ("rtsp://admin:12/34@10.0.0.1/x", "rtsp://***@10.0.0.1/x"),
        ("rtsp://first.last:12/34@cam.lan/x", "rtsp://***@cam.lan/x"),
        ("rtsp://cam.lan:554/live@2", "rtsp://cam.lan:554/live@2"),
        ("rtsp://a:secret@h/1, rtsp://b:secret@h/2", "rtsp://***@h/1, rtsp://***@h/2"),
        ("no address here", "no address here"),
    ],
)
def test_masking(text, masked):
    assert mask_url(text) == masked


@given(st.text(max_size=60))
def test_any_text_gives_an_answer_or_a_sentence(text):
    for url in (text, "rtsp://" + text, "rtsp://192.168.1.2/" + text, f"rtsp://{text}@192.168.1.2/"):
        try:
            checked = check_camera_url(url, PRIVATE, resolve=names())
        except CameraUrlError:
            continue
        assert (
            checked.addresses == ("192.168.1.2",) or checked.addresses[0].count(".") == 3 or ":" in checked.addresses[0]
        )


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20))
def test_no_password_survives_masking(password):
    secret = "Zz" + password.replace("@", "") + "zZ"
    assert secret not in mask_url(f"cannot open rtsp://admin:{secret}@10.0.0.1:554/x: 401")
