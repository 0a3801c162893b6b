"""A secret that cannot be shown by accident: not a `str`, no repr, no pickle, no copy into a report."""

import getpass
import hmac
import os
import secrets as random
import traceback as stack
from dataclasses import dataclass
from types import TracebackType

from .errors import RunbookError, SecretError

GENERATED_BYTES = 24  # 192 bits: a low bcrypt cost is then safe, see htpasswd


class Secret:
    """Holds one secret text; `.reveal()` is called at the one place of use."""

    __slots__ = ("_text",)

    def __init__(self, text: str):
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self):
        raise TypeError("a Secret is not pickled: pass its reference (env:NAME, secretsmanager:NAME) instead")


class sealed:  # noqa: N801 (used as `with sealed():`)
    """What is raised within the block leaves it without its frames, whose variables hold a secret in plain text:
    IPython's `%xmode Verbose` shows the variables of every frame. A note says where it was raised."""

    _SHOWN = 4  # frames

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None:
            return
        frames = stack.extract_tb(traceback, limit=-self._SHOWN)
        where = " > ".join(f"{'/'.join(f.filename.split('/')[-2:])}:{f.lineno} {f.name}" for f in frames)
        if not isinstance(error, RunbookError):  # which says itself what it is about
            error.add_note(f"raised in {where}, whose variables are not shown")
        for each in _chain(error):
            each.__traceback__ = None


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error, what caused it, and what was being handled when it came."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and all(each is not other for other in found):
            found.append(each)
            waiting += [each.__cause__, each.__context__]
    return found


def generate() -> Secret:
    """A new random secret, safe in a URL, a shell and an htpasswd file."""
    return Secret(random.token_urlsafe(GENERATED_BYTES))


def from_environment(name: str) -> Secret:
    text = os.environ.get(name)
    if not text:
        raise SecretError(f"env:{name}: the environment variable {name} is not set (or empty); set it and run again")
    return Secret(text)


def from_prompt(what: str) -> Secret:
    """Ask a person. Headless (papermill, nbval, no terminal) there is nobody to ask: an error says so."""
    try:
        text = getpass.getpass(f"{what}: ")
    except Exception as error:  # ipykernel's StdinNotImplementedError, EOFError, termios.error
        raise SecretError(
            f"{what}: nobody can be asked here ({type(error).__name__}); "
            "in a headless run use env:NAME, secretsmanager:NAME or generate"
        ) from None
    if not text:
        raise SecretError(f"{what}: an empty answer; run the cell again")
    return Secret(text)


@dataclass(frozen=True)
class Login:
    """A user of the registry, and the password."""

    user: str
    password: Secret
