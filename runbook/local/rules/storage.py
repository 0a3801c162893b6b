"""What S3, Secrets Manager and Parameter Store refuse."""

import ipaddress
import json
import re

from ..inside import account
from ..inside.dispatch import Refused

# Bucket naming rules (S3 user guide), general purpose buckets.
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


MOST_OBJECTS = 1000
STANDARD_PARAMETER = 4096
REST_SECONDS = 30


def create_bucket(params: dict, region: str) -> None:
    """CreateBucket, "Bucket naming rules"."""
    name = params["Bucket"]
    wrong = not BUCKET.fullmatch(name) or ".." in name or _is_address(name)
    if wrong or name.startswith(RESERVED_STARTS) or name.endswith(RESERVED_ENDS):
        raise Refused("InvalidBucketName", "The specified bucket is not valid.")


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def put_bucket_policy(params: dict, region: str) -> None:
    """PutBucketPolicy, MalformedPolicy: JSON, and statements about this bucket only."""
    try:
        policy = json.loads(params["Policy"])
        statements = policy["Statement"]
    except (ValueError, KeyError, TypeError):
        raise _malformed("Policies must be valid JSON and the first byte must be '{'") from None
    for statement in statements if isinstance(statements, list) else [statements]:
        _statement(statement, params["Bucket"])


def _statement(statement: dict, bucket: str) -> None:
    if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("Missing required field Effect")
    if "Principal" not in statement and "NotPrincipal" not in statement:
        raise _malformed("Missing required field Principal")
    if "Action" not in statement and "NotAction" not in statement:
        raise _malformed("Missing required field Action")
    resources = statement.get("Resource", statement.get("NotResource"))
    for resource in [resources] if isinstance(resources, str) else resources or []:
        named = resource.split(":::", 1)[-1].split("/", 1)[0]
        if named != bucket and "*" not in named:
            raise _malformed("Policy has invalid resource")
    if resources is None:
        raise _malformed("Missing required field Resource")
    principal = statement.get("Principal")
    named = principal.get("AWS", []) if isinstance(principal, dict) else []
    for each in [named] if isinstance(named, str) else named:
        if each.startswith("arn:") and not account.principal_exists(each):
            raise _malformed("Invalid principal in policy")


def _malformed(message: str) -> Refused:
    return Refused("MalformedPolicy", message)


def delete_objects(params: dict, region: str) -> None:
    """DeleteObjects: "The request can contain a list of up to 1,000 keys"."""
    if len(params["Delete"]["Objects"]) > MOST_OBJECTS:
        raise Refused("MalformedXML", "The XML you provided was not well-formed or did not validate against our schema")


def put_bucket_logging(params: dict, region: str) -> None:
    """PutBucketLogging: the target bucket exists."""
    enabled = params.get("BucketLoggingStatus", {}).get("LoggingEnabled")
    if enabled and not account.bucket_exists(enabled["TargetBucket"]):
        raise Refused("InvalidTargetBucketForLogging", "The target bucket for logging does not exist")


def rotate_secret(params: dict, region: str) -> None:
    """RotateSecret: a Lambda function does it."""
    if not params.get("RotationLambdaARN") and not account.secret_has_rotation(region, params["SecretId"]):
        raise Refused("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")


def put_parameter(params: dict, region: str) -> None:
    """PutParameter (Systems Manager), "Managing parameter tiers": 4 KB, 8 KB with the advanced tier. DeleteParameter:
    30 s before the same name is made again; AWS documents no error for less."""
    if account.parameter_was_deleted(region, params["Name"], REST_SECONDS):
        raise Refused("TooManyUpdates", f"Parameter {params['Name']} was deleted less than {REST_SECONDS} s ago.")
    tier = params.get("Tier", "Standard")
    if tier == "Standard" and len(params["Value"]) > STANDARD_PARAMETER:
        raise Refused(
            "ValidationException",
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
            "parameter value, upgrade the parameter to use the advanced-parameter tier.",
        )


def delete_parameter(params: dict, region: str) -> None:
    """DeleteParameter (Systems Manager): what put_parameter asks for."""
    account.note_deletions_of_parameters(region, [params["Name"]])


def delete_parameters(params: dict, region: str) -> None:
    """DeleteParameters: the same."""
    account.note_deletions_of_parameters(region, params["Names"])


def create_secret(params: dict, region: str) -> None:
    """CreateSecret, InvalidRequestException: a secret with this name waits for its deletion."""
    if account.secret_is_scheduled_for_deletion(region, params["Name"]):
        raise Refused(
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )


RULES = {
    ("s3", "CreateBucket"): create_bucket,
    ("s3", "DeleteObjects"): delete_objects,
    ("s3", "PutBucketLogging"): put_bucket_logging,
    ("s3", "PutBucketPolicy"): put_bucket_policy,
    ("secretsmanager", "CreateSecret"): create_secret,
    ("secretsmanager", "RotateSecret"): rotate_secret,
    ("ssm", "DeleteParameter"): delete_parameter,
    ("ssm", "DeleteParameters"): delete_parameters,
    ("ssm", "PutParameter"): put_parameter,
}
