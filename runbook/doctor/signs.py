"""What a registry prints when it fails, and the failure that each line is a sign of."""

import re
from typing import NamedTuple

_LONGEST = 300


class Sign(NamedTuple):
    """`lasting`: said once, when the registry starts, and true as long as it runs."""

    row: int
    words: re.Pattern
    lasting: bool = True


# Distribution's registry/handlers/app.go, registry/auth/htpasswd/access.go, configuration/{configuration,parser}.go and
# registry/storage/driver/s3-aws/s3.go, at 2.8 and 3.1; a shell's and a container runtime's words for 18.
SIGNS = tuple(
    Sign(row, re.compile(words), *lasting)
    for row, words, *lasting in (
        (18, r'htpasswd"?: (executable file )?not found|execvp htpasswd'),
        (17, r"htpasswd is missing, provisioning with default user|failed to open htpasswd path"),
        (11, r"[Ii]nvalid region provided"),
        (13, r"must provide exactly one storage type|multiple storage drivers specified"),
        (26, r"redis configuration required"),
        (15, r"(?:open|config\w* error|reading).*/etc/(?:docker/registry|distribution)/config\.yml: no such file"),
        (30, r"SlowDown: |\bSlowDown\b.*\b503\b", False),
        (14, r"Ignoring unrecognized environment variable"),
        (31, r"localhost:4318|\[::1\]:4318|127\.0\.0\.1:4318", False),
    )
)
ANY = re.compile("")
NO_HTTP_SECRET = re.compile(r"No HTTP secret provided")
NO_CREDENTIALS = re.compile(r"NoCredentialProviders")
OF_S3 = re.compile(r"s3aws|AccessDenied|NoSuchBucket|InvalidAccessKeyId|SignatureDoesNotMatch")
_FIELD = re.compile(r'\b(?:msg|err\.detail|err\.message)="((?:[^"\\]|\\.)*)"')
_SECRET = re.compile(r'(?i)\b(\w*(?:password|secret|token|accesskey))(\\*"?[=:] ?)("(?:[^"\\]|\\.)*"|\S+)')


def quote(text: str, words: re.Pattern) -> str:
    """The part of a log line that has these words, without what could be a secret."""
    said = next((each for each in _FIELD.findall(text) if words.search(each)), text)
    said = _SECRET.sub(r"\1\2(not shown)", " ".join(said.split()))
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]} …"
