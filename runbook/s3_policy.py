"""What whoever stores the images may do in S3, on the deployment's bucket alone.

Distribution's list without s3:GetBucketLocation: its driver is told the region, and never asks.
"""

from .params import Params
from .roles import allow

# https://distribution.github.io/distribution/storage-drivers/s3/#s3-permission-scopes
BUCKET_ACTIONS = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
OBJECT_ACTIONS = [
    "s3:PutObject",
    "s3:GetObject",
    "s3:DeleteObject",
    "s3:ListMultipartUploadParts",
    "s3:AbortMultipartUpload",
]


def statements(p: Params) -> list[dict]:
    """One statement about the bucket, one about its objects."""
    bucket = f"arn:aws:s3:::{p.bucket}"
    return [allow(BUCKET_ACTIONS, bucket), allow(OBJECT_ACTIONS, f"{bucket}/*")]
