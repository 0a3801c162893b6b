"""A new params file: a template of params/ with its comments, and a few answers put in place of its values."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from . import paths
from .errors import ParamsError
from .params_file import SCHEMA_LINE, load, parse, problems, read

TEMPLATES = ("blog", "production")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Question(NamedTuple):
    """`choices` are all that can be answered; empty: whatever the model takes for the key."""

    key: str
    words: str
    choices: tuple[str, ...] = ()


QUESTIONS = (
    Question("like", "template: the blog's set-up, or what a careful team runs", TEMPLATES),
    Question("cloud", "cloud: embedded (this computer) or aws (your login)", ("embedded", "aws")),
    Question("name", "name of the deployment, in every name and tag"),
    Question("domain", "domain, the registry's address"),
    Question("zone", "hosted zone that the domain is in"),
    Question("region", "AWS region"),
    Question("bucket", "S3 bucket of the images"),
    Question("certificate", "certificate: request, an ACM ARN, or a folder with cert.pem, chain.pem, privkey.pem"),
)


def path_of(file: str) -> Path:
    """Where the params file of that name is; ParamsError when no file can have the name."""
    if not _FILE.fullmatch(file):
        raise ParamsError(f"{file!r}: the name of a params file has letters, digits, - and _, such as mine")
    return paths.PARAMS / f"{file}.yml"


def answers(file: str, given: dict[str, str]) -> dict[str, str]:
    """Every question's answer: what was given, else what follows from it and the template.

    `domain` stays empty on AWS when it is not given: whose domain it is nobody else can know.
    """
    said = {key: text.strip() for key, text in given.items() if text and text.strip()}
    like = said.get("like", TEMPLATES[0])
    if like not in TEMPLATES:
        raise ParamsError(f"template {like!r}: one of {', '.join(TEMPLATES)}")
    template = load(like)
    cloud = said.get("cloud", template.cloud)
    name = said.get("name") or file.lower().replace("_", "-")
    domain = said.get("domain") or (template.domain if cloud == "embedded" else "")
    zone = said.get("zone") or domain.partition(".")[2]
    return {
        "like": like,
        "cloud": cloud,
        "name": name,
        "domain": domain,
        "zone": zone,
        "region": said.get("region", template.region),
        "bucket": said.get("bucket") or _bucket(zone, name),
        "certificate": said.get("certificate") or (template.certificate_folder and f"live/{domain}" or "request"),
    }


def wrong(file: str, answered: dict[str, str]) -> dict[str, str]:
    """What the model says of these answers, by the question's key (`file`: of the file's name). Empty: all is well."""
    try:
        path_of(file)
    except ParamsError as error:
        return {"file": str(error)}
    like = answered["like"]
    found = problems({**parse(_template(like), f"params/{like}.yml"), **_values(answered)})
    if not answered["domain"]:
        found["domain"] = "needed: the registry's address, such as registry.example.com"
        found.pop("zone", None)
    return found


def text(file: str, answered: dict[str, str]) -> str:
    """The file: the template's own lines and comments with the answers in them. ParamsError says what is wrong."""
    if found := wrong(file, answered):
        raise ParamsError("\n".join(f"{key}: {why}" for key, why in found.items()))
    like, values = answered["like"], _values(answered)
    _, _, body = _template(like).partition("\nparams:\n")
    for key, value in values.items():
        body = _replaced(body, key, value)
    made = (
        f"{SCHEMA_LINE}\n"
        f"# Made from params/{like}.yml. Every key, its type and its default: docs/params.md\n"
        f"params:\n{body}"
    )
    loaded = read(made, f"params/{file}.yml").model_dump()
    if any(loaded[key] != value for key, value in values.items()):
        raise ParamsError(f"params/{like}.yml has its keys in a form that is not understood; copy it by hand")
    return made


def free(file: str, *, replace: bool = False) -> None:
    """ParamsError where there is a params file of that name already; with `replace`, where it is a template."""
    if file in TEMPLATES:
        raise ParamsError(f"params/{file}.yml is a template, which stays as it is; choose another name")
    if path_of(file).exists() and not replace:
        raise ParamsError(f"params/{file}.yml is there already; choose another name, or say that it is to be replaced")


def write(file: str, answered: dict[str, str], *, replace: bool = False) -> Path:
    """Write params/FILE.yml; ParamsError where there is one already, unless `replace`."""
    path, made = path_of(file), text(file, answered)
    free(file, replace=replace)
    if replace:
        part = path.with_suffix(".part")
        part.write_text(made)
        os.replace(part, path)
        return path
    with path.open("x") as opened:
        opened.write(made)
    return path


def next_steps(file: str) -> str:
    """What to do with the file that was written."""
    return (
        f'params/{file}.yml is written. In the notebooks, write in the first code cell:  params = "{file}"\n'
        f"Or in a terminal:  python -m runbook plan {file}, then  python -m runbook run {file}"
    )


def ask(file: str, given: dict[str, str], answer: Callable[[str], str], tell: Callable[[str], None]) -> dict[str, str]:
    """Ask what is not given, with the default beside the question; again, with the model's words, what is wrong."""
    path_of(file)
    said = dict(given)
    for question in QUESTIONS:
        if given.get(question.key):
            continue
        while True:
            default = answers(file, said)[question.key]
            reply = answer(f"{question.words}{f' [{default}]' if default else ''}: ").strip() or default
            why = _wrong_answer(file, said, question, reply)
            if why is None:
                break
            tell(f"  {why}")
        said[question.key] = reply
    return answers(file, said)


def _wrong_answer(file: str, said: dict[str, str], question: Question, reply: str) -> str | None:
    if question.choices:
        return None if reply in question.choices else f"one of {', '.join(question.choices)}"
    if not reply:
        return "needed"
    return wrong(file, answers(file, said | {question.key: reply})).get(question.key)


def _bucket(zone: str, name: str) -> str:
    """A name that nobody else is likely to have: bucket names are global."""
    return re.sub(r"[^a-z0-9]+", "-", f"{zone}-{name}".lower()).strip("-")[:63].rstrip("-")


def _template(like: str) -> str:
    return (paths.PARAMS / f"{like}.yml").read_text("utf-8-sig")


def _values(answered: dict[str, str]) -> dict[str, str]:
    """The keys of the file, and their values."""
    values = {question.key: answered[question.key] for question in QUESTIONS[1:]}
    values["realm"] = f"{answered['zone']} private registry"[:120]
    if answered["cloud"] == "aws" and load(answered["like"]).credentials == "instance-role":
        # Registry 2.x knows neither IMDSv2 nor a task's role: distribution/distribution#3437, #2960.
        values |= {"image": "registry:3.1.1", "credentials": "task-role"}
    return values


def _replaced(body: str, key: str, value: str) -> str:
    """The line of the key with another value; the comment behind it stays in its column where there is room."""
    written = yaml.safe_dump(value, width=10_000, allow_unicode=True).removesuffix("\n").removesuffix("\n...")
    if re.search(r"^  " + key + r":", body, re.MULTILINE) is None:
        return f"  {key}: {written}\n{body}"

    def line(match: re.Match) -> str:
        comment = match["comment"] or ""
        column = len(match[0]) - len(comment)
        start = f"  {key}: {written}"
        return f"{start.ljust(column - 1)} {comment}" if comment else start

    return re.sub(rf"^  {key}:[^#\n]*?[ ]*(?P<comment># .*)?$", line, body, count=1, flags=re.MULTILINE)
