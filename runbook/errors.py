"""What can go wrong, each as one sentence: what was being done, what was seen, what to do next.

RunbookError
├── ParamsError            the params file is wrong; nothing was called
├── CloudError             the cloud cannot be reached, or the embedded cloud cannot run here
├── SecretError            a secret is not where its reference says, or would be written down
├── AwsError               AWS answered with an error; `.code` is AWS's own
│   ├── Denied             … because the caller may not do this (never read as "absent")
│   └── Expired            … because the caller's credentials are no longer valid
├── NotOurs                a thing of that name exists and does not carry our tag
├── ReadOnly               a write was tried in a read-only session
├── StepFailed             a step cannot be done; the sentence says why and which notebook helps
├── VerificationFailed     a report has a check that is not ok; `.report` is that report
└── TimedOut               what was waited for did not come; the sentence carries the last thing seen
"""

import re
from collections.abc import Sequence

import botocore.exceptions as botocore
from botocore.parsers import ResponseParserError

EXIT_FAILED, EXIT_USAGE, EXIT_CHANGES, EXIT_INTERRUPTED, EXIT_TIMED_OUT = 1, 2, 3, 4, 5


class RunbookError(Exception):
    """The base of all errors that this package raises on purpose; `exit_status` is the command's."""

    exit_status = EXIT_FAILED

    def _render_traceback_(self) -> list[str]:
        """One sentence in a notebook instead of a traceback (an IPython hook)."""
        return [f"{type(self).__name__}: {self}"]


class ParamsError(RunbookError):
    exit_status = EXIT_USAGE


class CloudError(RunbookError):
    pass


class SecretError(RunbookError):
    pass


class AwsError(RunbookError):
    def __init__(self, service: str, operation: str, code: str, message: str, status: int = 0):
        self.service, self.operation, self.code, self.status = service, operation, code, status
        self.message = message
        super().__init__(f"{service} {operation}: {code}: {message}{self.advice()}")

    def advice(self) -> str:
        return ""


class Denied(AwsError):
    def advice(self) -> str:
        """AWS names the action, which may be another than the operation: iam:PassRole, s3:ListBucketVersions."""
        named = re.search(r"not authorized to perform: (\S+) on resource: (\S+)", self.message)
        permission = f"{named[1]} on {named[2]}" if named else f"{self.service}:{self.operation} on it"
        return f"; the caller needs the permission {permission}"


class Expired(AwsError):
    def advice(self) -> str:
        return "; log in to AWS again (aws sso login, or new keys) and run the same step again"


class NotOurs(RunbookError):
    def __init__(self, thing: str, p):
        super().__init__(
            f"{thing} exists and does not belong to deployment {p.name} "
            f"(no tag runbook:deployment={p.name}); it is left alone. Choose another name in {p.source}"
        )


class ReadOnly(RunbookError):
    pass


class StepFailed(RunbookError):
    pass


class VerificationFailed(RunbookError):
    def __init__(self, report):
        self.report = report
        super().__init__(report.failures())


class TimedOut(RunbookError):
    exit_status = EXIT_TIMED_OUT


# The codes by which services say the same thing: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"}
_EXPIRED |= {"UnrecognizedClientException", "AuthFailure", "InvalidAccessKeyId", "TokenRefreshRequired"}


def translate(error: Exception, service: str, operation: str, where: str, secrets: Sequence[str] = ()) -> RunbookError:
    """The one place where botocore's exceptions become ours. `where` is the endpoint, in words.

    What was sent in secret is left out where AWS or botocore quotes it ("Value '…' at 'secretString' failed to
    satisfy constraint").
    """
    if isinstance(error, RunbookError):
        return error
    if isinstance(error, botocore.ClientError):
        detail = error.response.get("Error", {})
        code, message = str(detail.get("Code", "Unknown")), _without(secrets, detail.get("Message", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if (service, operation, code) == ("s3", "HeadBucket", "400"):  # its answer has no body to say why
            code, message = "ExpiredToken", "the login is expired, or not valid in this region"
        kind = Denied if code in _DENIED else Expired if code in _EXPIRED else AwsError
        return kind(service, operation, code, message, status)
    if isinstance(error, botocore.PartialCredentialsError):
        return CloudError(f"half an AWS login: {error}; set both, or neither and log in (aws sso login), then again")
    if isinstance(error, botocore.NoCredentialsError):
        return CloudError("no AWS credentials found: log in first (aws sso login, or AWS_PROFILE), then again")
    if isinstance(error, botocore.ProfileNotFound):
        return CloudError(f"{error}: name a profile that exists in AWS_PROFILE, or unset it")
    if isinstance(error, botocore.UnauthorizedSSOTokenError | botocore.SSOError | botocore.TokenRetrievalError):
        return CloudError(f"the AWS login is no longer valid ({error}): aws sso login, then again")
    if isinstance(error, botocore.ConnectionError | botocore.HTTPClientError):
        return CloudError(f"{service} {operation}: no answer from {where} ({type(error).__name__})")
    if isinstance(error, ResponseParserError):
        return CloudError(f"{service} {operation}: what answers at {where} is not AWS (a proxy, AWS_ENDPOINT_URL?)")
    if isinstance(error, botocore.ParamValidationError):
        return StepFailed(f"{service} {operation}: {' '.join(_without(secrets, str(error)).split())}")
    return CloudError(f"{service} {operation}: {type(error).__name__}: {_without(secrets, str(error))}")


def _without(secrets: Sequence[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "(secret)")
    return text


BOTOCORE = (botocore.BotoCoreError, botocore.ClientError, ResponseParserError)
