"""S3 that throttles: for a try, the registries' writes get S3's answer to too many requests."""

from pathlib import Path

from moto.core.responses import BaseResponse

from . import credentials, dispatch
from .dispatch import Refused

# "Best practices design patterns": a prefix takes 3,500 of these a second.
WRITES = {"CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload", "PutObject", "UploadPart", "UploadPartCopy"}


def install(sign: Path) -> None:
    """While the file `sign` is there, refuse what others than the operator write to S3."""

    def guard(response: BaseResponse, request) -> None:
        if response.service_name != "s3" or not sign.exists():
            return
        if credentials.is_operators(request) or response._get_action() not in WRITES:
            return
        raise Refused("SlowDown", "Please reduce your request rate.", 503)

    dispatch.GUARDS.append(guard)
