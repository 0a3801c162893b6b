"""The search for secrets finds a planted one, in each form and in each kind of place."""

import base64
import gzip
import html
import io
import json
import pprint
import shlex
import subprocess
import sys
import tarfile
import urllib.parse
import zipfile
import zlib

import leaks
import nbformat
import pytest
import yaml

from runbook.report import Check, Document, Report

pytestmark = pytest.mark.pure

SECRET = 'Kanarienvögel/"singen"+früh\\morgens&<immer> im Käfig=7'
PLAIN = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


def found(content, secret=SECRET):
    return leaks.Search({"one": secret}).look("a place", content)


WRITTEN = {
    "as it is": lambda s: s,
    "in a sentence": lambda s: f"the password is {s}, said he",
    "JSON": lambda s: json.dumps({"password": s}),
    "JSON without escapes": lambda s: json.dumps({"password": s}, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps({"body": json.dumps({"password": s})}),
    "repr": repr,
    "repr of bytes": lambda s: repr(s.encode()),
    "repr of a repr": lambda s: repr(repr(s.encode())),
    "pprint": lambda s: pprint.pformat({"password": f"before {s} after"}, width=20),
    "YAML": lambda s: yaml.safe_dump({"password": s}, width=1000),
    "shell": shlex.quote,
    "URL": lambda s: f"https://user:{urllib.parse.quote(s, safe='')}@host",
    "URL, slash kept": lambda s: urllib.parse.quote(s),
    "form": lambda s: urllib.parse.urlencode({"password": s}),
    "base64": lambda s: base64.b64encode(s.encode()),
    "base64, one before": lambda s: base64.b64encode(b"u" + s.encode() + b"."),
    "base64, two before": lambda s: base64.b64encode(b"u:" + s.encode() + b".."),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(b"user:" + s.encode()),
    "base64 in lines": lambda s: base64.encodebytes(b"x" * 60 + s.encode()),
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "HTML": html.escape,
    "HTML of a report": lambda s: Report("title", (Check("name", False, "wanted", s),))._repr_html_(),
    "HTML of a document": lambda s: Document(password=s)._repr_html_(),
    "UTF-16": lambda s: s.encode("utf-16"),
    "over lines of a terminal": lambda s: f"\x1b[31m{s[:20]}\x1b[0m\r\n{s[20:]}",
    "cut at its end": lambda s: s[:20] + "…",
    "cut at its beginning": lambda s: "…" + s[-20:],
    "gzip": lambda s: gzip.compress(s.encode()),
    "zlib": lambda s: zlib.compress(s.encode()),
    "gzip of gzip": lambda s: gzip.compress(gzip.compress(s.encode())),
    "zip": lambda s: _zipped(s.encode()),
    "tar.gz": lambda s: gzip.compress(_tarred(s.encode())),
    "Python's escapes": lambda s: s.encode("unicode_escape"),
}


def _zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", content)
    return file.getvalue()


def _tarred(content):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("inside")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("secret", [SECRET, PLAIN], ids=["signs", "letters"])
@pytest.mark.parametrize("form", WRITTEN)
def test_each_form_is_found(form, secret):
    assert found(WRITTEN[form](secret), secret)


@pytest.mark.parametrize("form", WRITTEN)
def test_another_secret_is_not_found(form):
    assert not found(WRITTEN[form](SECRET[::-1]))


def test_the_bytes_of_a_key_are_found():
    key = bytes(range(7, 70))
    for content in (b"--" + key + b"--", base64.b64encode(b"-" + key), key.hex(), repr(key)):
        assert found(content, key)


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="too short"):
        leaks.Search({"one": "short"})


def test_files_their_names_and_modes(tmp_path):
    folder = tmp_path / "home" / "deep" / ".hidden"
    folder.mkdir(parents=True, mode=0o700)
    notebook = nbformat.v4.new_notebook(metadata={"papermill": {"parameters": {"password": SECRET}}})
    nbformat.write(notebook, folder / "out.ipynb")
    (folder / "log.gz").write_bytes(gzip.compress(SECRET.encode()))
    (folder / PLAIN).write_text("nothing")
    (folder / "other").write_text("nothing")
    search = leaks.Search({"one": SECRET, "two": PLAIN})
    assert {path.name for path in search.files(tmp_path)} == {"out.ipynb", "log.gz", PLAIN}
    assert search.places == 4
    (folder / "other").chmod(0o600)
    assert leaks.open_to_others(folder / "other", tmp_path) == ""
    (folder / "other").chmod(0o640)
    assert "0640" in leaks.open_to_others(folder / "other", tmp_path)
    (folder / "other").chmod(0o600)
    folder.chmod(0o711)
    assert "0711" in leaks.open_to_others(folder / "other", tmp_path)
    assert "outside" in leaks.open_to_others(tmp_path / "home", folder)


def test_arguments_and_environments_of_processes_are_seen():
    with leaks.Processes() as seen:
        wait = "import sys; sys.stdin.read()"
        with subprocess.Popen([sys.executable, "-c", wait, PLAIN], stdin=-1, env={"SECRET": SECRET}) as process:
            while seen.looks < 12:  # an environment is read at every tenth look or so
                assert process.poll() is None
            process.stdin.close()
    search = leaks.Search({"one": SECRET, "two": PLAIN})
    assert {hit.secret for hit in search.look("ps", seen.text())} == {"two"}
    assert [name for name, text in seen.environments if search.look("environ", text)]
