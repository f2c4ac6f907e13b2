"""A signed export shows every change, whoever made it; checked without the installation."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.api_world import START
from support.command import run_command

from pipeline.sealing import Sealer, SealError
from service.cases.package import MANIFEST, PUBLIC_KEY, SIGNATURE, Package
from service.cases.sealed_file import ExportFile, pieces
from service.cases.signing import KEY_FILE, SigningKey, SigningKeyError, VerifyingKey
from service.cases.verify import verify_export

PICTURE = "pictures/01K9ZB3Q0V5W1T8R6J2N4M7XCD/0.jpg"
DOCUMENT = Path(__file__).parents[2] / "docs" / "cases.md"
Files = dict[str, bytes]


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.of_folder(tmp_path / "installation")


@pytest.fixture
def export(tmp_path: Path, key: SigningKey) -> Path:
    return packed(tmp_path / "export.zip", key)


def packed(path: Path, key: SigningKey) -> Path:
    with Package(ExportFile(path), START) as package:
        package.add(PICTURE, b"\xff\xd8 a picture \xff\xd9")
        package.add_json("case.json", {"title": "Bicycles"})
        package.add_text("index.html", ["<!doctype html>", "<title>Bicycles</title>"])
        package.seal(key, {"case": "1", "export": {"key": key.public.fingerprint}})
    return path


def read(path: Path) -> Files:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_as_it_was_signed(export: Path, key: SigningKey) -> None:
    found = verify_export(export, [key.public.fingerprint.upper()])
    assert (found.findings, found.files, found.trusted) == ((), 4, True)
    assert found.about == {"format": "tapetum-case-export/1", "case": "1", "export": {"key": key.public.fingerprint}}
    assert not verify_export(export).trusted
    assert not verify_export(export, ["0" * 64]).trusted
    again = written(export.with_name("again.zip"), read(export))
    assert verify_export(again).findings == (), "the files count, not how they were packed"


def _picture(files: Files) -> None:
    files[PICTURE] = files[PICTURE].replace(b"a picture", b"A picture")


def _longer(files: Files) -> None:
    files["case.json"] += b" "


def _page(files: Files) -> None:
    files["index.html"] = b"<!doctype html>"


def _removed(files: Files) -> None:
    del files[PICTURE]


def _added(files: Files) -> None:
    files["pictures/one-more.jpg"] = b"x"


def _outside(files: Files) -> None:
    files["../../evil.sh"] = b"x"


def _manifest(files: Files) -> None:
    files[MANIFEST] = files[MANIFEST].replace(b'"case": "1"', b'"case": "2"')


def _picture_and_manifest(files: Files) -> None:
    before = hashlib.sha256(files[PICTURE]).hexdigest().encode()
    _picture(files)
    files[MANIFEST] = files[MANIFEST].replace(before, hashlib.sha256(files[PICTURE]).hexdigest().encode())


def _signature(files: Files) -> None:
    files[SIGNATURE] = bytes(64)


def _short_signature(files: Files) -> None:
    files[SIGNATURE] = b"x"


def _no_signature(files: Files) -> None:
    del files[SIGNATURE]


def _no_manifest(files: Files) -> None:
    del files[MANIFEST]


def _no_key(files: Files) -> None:
    files[PUBLIC_KEY] = b"-----BEGIN PUBLIC KEY-----\n"


def _nothing(files: Files) -> None:
    files.clear()


@pytest.mark.parametrize(
    ("harm", "first"),
    [
        (_picture, f"{PICTURE}: was changed"),
        (_longer, "case.json: was changed"),
        (_page, "index.html: was changed"),
        (_removed, f"{PICTURE}: is missing"),
        (_added, "pictures/one-more.jpg: was added"),
        (_outside, "../../evil.sh: was added"),
        (_manifest, "manifest.json: the signature is not of this manifest"),
        (_picture_and_manifest, "manifest.json: the signature is not of this manifest"),
        (_signature, "manifest.json: the signature is not of this manifest"),
        (_short_signature, "manifest.json: the signature is not of this manifest"),
        (_no_signature, "the file cannot be read as an export: manifest.sig is missing"),
        (_no_manifest, "the file cannot be read as an export: manifest.json is missing"),
        (_no_key, "the file cannot be read as an export: expected an Ed25519 public key in PEM"),
        (_nothing, "the file cannot be read as an export: manifest.json is missing"),
    ],
)
def test_every_harm_is_found_and_named(
    export: Path, key: SigningKey, harm: Callable[[Files], None], first: str
) -> None:
    files = read(export)
    harm(files)
    broken = written(export.with_name("broken.zip"), files)
    found = verify_export(broken, [key.public.fingerprint])
    assert found.findings == (first,)
    done = run_command("exports", "verify", str(broken), "--key", key.public.fingerprint, code=1)
    assert (done.exit_code, done.stdout.splitlines()[0]) == (1, first)


def test_every_byte_counts(export: Path, key: SigningKey) -> None:
    """Whichever byte of the ZIP is changed: it is found, or nothing that was signed has changed."""
    whole, before = export.read_bytes(), read(export)
    broken, found = export.with_name("broken.zip"), 0
    for place in range(0, len(whole), 3):
        broken.write_bytes(whole[:place] + bytes([whole[place] ^ 0x21]) + whole[place + 1 :])
        if verify_export(broken, [key.public.fingerprint]).findings:
            found += 1
        else:
            assert read(broken) == before, place
    assert found > len(whole) / 6


def test_a_file_that_ends_too_soon(export: Path) -> None:
    whole = export.read_bytes()
    for size in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        export.write_bytes(whole[:size])
        assert verify_export(export).findings[0].startswith("the file cannot be read as an export")
    done = run_command("exports", "verify", str(export), code=1)
    assert f"{export}: not an export, or no longer one" in done.stderr


def test_what_was_put_around_it_shows(export: Path) -> None:
    whole = export.read_bytes()
    export.write_bytes(b"#!/bin/sh\n" + whole)
    assert verify_export(export).findings == ("something was added before or behind the files",)
    export.write_bytes(whole)
    with zipfile.ZipFile(export, "a") as archive:
        archive.comment = b"see the other file"
    assert verify_export(export).findings == ("something was added before or behind the files",)


def test_a_name_that_is_there_twice(export: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(export, "a") as archive:
        archive.writestr(PICTURE, b"another picture")
    assert verify_export(export).findings == (f"{PICTURE}: was changed", f"{PICTURE}: is there 2 times")


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = read(export)
    monkeypatch.setattr("service.cases.verify._MAX_MANIFEST_BYTES", 2**16)
    with zipfile.ZipFile(export, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, bytes(2**22) if name == PICTURE else data)
    assert verify_export(export).findings == (f"{PICTURE}: was changed",)
    with zipfile.ZipFile(export, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, bytes(2**16 + 2))
    assert verify_export(export).findings == ("the file cannot be read as an export: manifest.json is too large",)


@pytest.mark.parametrize(
    "manifest",
    [
        b"[]",
        b"null",
        b"{}",
        b"not json",
        b'{"format": "tapetum-case-export/2"}',
        b'{"format": "tapetum-case-export/1", "export": {}}',
        b'{"format": "tapetum-case-export/1", "export": {"key": "KEY"}, "files": {}, "x": 1}',
        b'{"format": "tapetum-case-export/1", "export": {"key": "KEY"}, "files": [{"path": 1}]}',
        b'{"format": "tapetum-case-export/1", "export": {"key": "other"}, "files": []}',
    ],
)
def test_manifests_that_are_none_although_signed(export: Path, key: SigningKey, manifest: bytes) -> None:
    files = read(export)
    files[MANIFEST] = manifest.replace(b"KEY", key.public.fingerprint.encode())
    files[SIGNATURE] = key.sign(files[MANIFEST])
    assert verify_export(written(export, files)).findings


def test_signed_anew_by_somebody_else(tmp_path: Path, export: Path, key: SigningKey) -> None:
    """Whole, but not from whom one knows: only the fingerprint tells."""
    forged = packed(tmp_path / "forged.zip", SigningKey.of_folder(tmp_path / "forger"))
    assert verify_export(forged, [key.public.fingerprint]).findings == ()
    pem = tmp_path / "known.pem"
    pem.write_bytes(key.public.pem)
    for known in (key.public.fingerprint, str(pem)):
        assert run_command("exports", "verify", str(export), "--key", known).exit_code == 0
        done = run_command("exports", "verify", str(forged), "--key", known, code=3)
        assert (done.exit_code, "is not known here" in done.stderr) == (3, True)
    with_other_key = read(export)
    with_other_key[PUBLIC_KEY] = SigningKey.of_folder(tmp_path / "forger").public.pem
    assert verify_export(written(export, with_other_key)).findings == (
        "manifest.json: the signature is not of this manifest",
    )


def test_the_command(export: Path, key: SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPETUM_DATA_DIR", str(tmp_path / "installation"))
    assert run_command("exports", "key").stdout.strip() == key.public.fingerprint
    done = run_command("exports", "verify", str(export))
    assert done.stdout.strip() == f"4 files as they were signed, with the key {key.public.fingerprint}"
    told = json.loads(run_command("exports", "verify", str(export), "--json").stdout)
    assert (told["findings"], told["files"], told["trusted"]) == ([], 4, True)
    monkeypatch.setenv("TAPETUM_DATA_DIR", str(tmp_path / "elsewhere"))
    assert run_command("exports", "verify", str(export), code=3).exit_code == 3
    assert run_command("exports", "key", code=1).exit_code == 1
    assert run_command("exports", "verify", str(tmp_path / "none.zip"), code=2).exit_code == 2
    no_key = tmp_path / "none.pem"
    no_key.write_bytes(b"x")
    assert run_command("exports", "verify", str(export), "--key", str(no_key), code=2).exit_code == 2


def test_the_lines_of_the_document_check_it_too(export: Path, key: SigningKey, tmp_path: Path) -> None:
    """What docs/cases.md tells people without Tapetum to run."""
    found = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    script = tmp_path / "check.py"
    script.write_text(found[1])

    def run(file: Path, fingerprint: str) -> Any:
        command = [sys.executable, str(script), str(file), fingerprint]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert (run(export, key.public.fingerprint).returncode, run(export, "0" * 64).returncode) == (0, 1)
    for harm in (_picture, _removed, _added, _manifest, _signature):
        files = read(export)
        harm(files)
        done = run(written(tmp_path / "broken.zip", files), key.public.fingerprint)
        assert done.returncode == 1, harm


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    made: list[str] = []

    def make() -> None:
        made.append(SigningKey.of_folder(tmp_path / "data").public.fingerprint)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len(set(made)) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == [KEY_FILE]
    assert (tmp_path / "data" / KEY_FILE).stat().st_mode & 0o77 == 0
    assert "PRIVATE" not in repr(SigningKey.of_folder(tmp_path / "data"))


@pytest.mark.parametrize("text", [b"", b"x", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_keys_that_are_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(text)
    with pytest.raises(SigningKeyError, match=KEY_FILE):
        SigningKey.of_folder(tmp_path)
    with pytest.raises(SigningKeyError):
        VerifyingKey.from_pem(text)


def test_a_sealed_file_opens_piece_by_piece_in_its_place(tmp_path: Path) -> None:
    path, sealer = tmp_path / "x", Sealer([bytes(32)])
    file = ExportFile(path, sealer, "one")
    for data in (b"first" * 10, b"second" * 10):
        file.write(data)
        file.settle()
    file.close()
    whole = b"first" * 10 + b"second" * 10
    assert (file.size_bytes, file.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())

    def opened(data: bytes, sealer: Sealer = sealer, place: str = "one") -> bytes:
        return b"".join(pieces(io.BytesIO(data), sealer, place))

    stored = path.read_bytes()
    assert b"first" not in stored
    assert opened(stored) == whole
    length = int.from_bytes(stored[8:16], "big")
    first, second = stored[8 : 16 + length], stored[16 + length :]
    for broken in (stored[:8] + second + first, stored[:-1], stored[:8] + second, stored[:-1] + b"x"):
        with pytest.raises(SealError):
            opened(broken)
    with pytest.raises(SealError):
        opened(stored, place="two")
    with pytest.raises(SealError):
        opened(stored, Sealer([bytes(31) + b"x"]))


def test_a_package_that_failed_is_no_zip(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "half.zip"
    with pytest.raises(TypeError), Package(ExportFile(path), START) as package:
        package.add_json("case.json", {"what": object()})
    assert not zipfile.is_zipfile(path)
    assert path.stat().st_mode & 0o77 == 0
    with pytest.raises(FileExistsError):
        ExportFile(path)
