"""What goes wrong with a private registry on ECS: 33 failures that people met, each with its cause and its remedy.

`D#` is a thread of distribution/distribution on GitHub.
"""

from typing import NamedTuple

_01, _02, _03 = "01_enable_s3_and_authentication", "02_create_a_task_definition", "03_create_an_htpasswd_file"
_04, _05, _06 = "04_launch_your_service", "05_configure_https_on_the_load_balancer", "06_test_your_setup"


class Failure(NamedTuple):
    """One failure: what a person meets, why, what to do, in which notebook, and where people met it."""

    row: int
    symptom: str
    cause: str
    remedy: str
    notebook: str
    seen_in: str


FAILURES: dict[int, Failure] = {
    failure.row: failure
    for failure in (
        Failure(1, "push: 404 BLOB_UPLOAD_UNKNOWN or BLOB_UPLOAD_INVALID, now and then",
                "the registries have different http secrets",
                "give all of them one REGISTRY_HTTP_SECRET", _02, "D#1402 D#1576 D#2519 D#1933"),
        Failure(2, "what was pushed is there in one request and not in the next",
                "the registries do not share their storage",
                "set REGISTRY_STORAGE=s3 and one bucket for all of them", _02, "D deploying.md"),
        Failure(3, "push: server gave HTTP response to HTTPS client, or the port is missing in Location",
                "the registry tells its clients the wrong address",
                "let the balancer pass X-Forwarded-Proto; leave http.host unset, or make it the public https address",
                _05, "D#479 D#2225 D#1061 D#2177"),
        Failure(4, "a large layer fails after about a minute: 408, 504 or a reset",
                "the balancer's idle timeout is shorter than a slow upload",
                "set the idle timeout to 300 s or more", _05, "D#1061 D#953 D#755"),
        Failure(5, "503 for every address, also right after docker login",
                "the registry's storage health check fails: it does not reach its bucket",
                "mend the bucket, its policy, its region or the registry's credentials", _01,
                "D#972 D#4361 D#2292 D#2283 D#1285"),
        Failure(6, "the balancer calls every registry unhealthy, and each answers 401",
                "the health check asks /v2/ and expects 200",
                "check the path /, or expect 401 of /v2/; never switch off authentication", _05, "D#629 D#840 D#539"),
        Failure(7, "the balancer calls a broken registry healthy",
                "the health check only opens a TCP connection",
                "check HTTP:5000/", _05, "the blog of 2015"),
        Failure(8, "pull works and push fails with AccessDenied of S3",
                "the registry's policy lacks the actions of a multipart upload",
                "write the policy that the runbook has", _01, "D#1699 D#1562 D#2023 D#1684"),
        Failure(9, "403 or no credentials with a task role on registry 2",
                "registry 2 does not know task roles",
                "use registry 3.1.1 or newer, or the instance's role", _02, "D#2960 D#2585 D#2579 D#3944"),
        Failure(10, "NoCredentialProviders on an instance that requires IMDSv2",
                "registry 2.8 cannot speak IMDSv2, or one hop is too few for a container",
                "use registry 3, or set the hop limit to 2", _02, "D#3437 D#3372"),
        Failure(11, "the registry ends with `invalid region provided`",
                "this version's list of regions lacks the region",
                "use a newer version, or a region that it knows", _02, "D#4614 D#2870 D#2271"),
        Failure(12, "after the upgrade to registry 3 every call to the endpoint fails",
                "regionendpoint needs forcepathstyle: true beside it since version 3",
                "set forcepathstyle, or no endpoint at all for S3 itself", _02, "D#4528 D#4359"),
        Failure(13, "the registry ends with `must provide exactly one storage type`",
                "two storage drivers are configured",
                "set REGISTRY_STORAGE=s3, which takes the other away", _02, "D#679 D#778 D#511"),
        Failure(14, "a setting has no effect",
                "the variable's name is misspelt, and ignored",
                "correct the name", _02, "D#1982"),
        Failure(15, "the registry ends because it finds no configuration file",
                "registry 3 has its file in /etc/distribution",
                "give that path, or no command at all", _02, "D#4250"),
        Failure(16, "401 with the right password",
                "the htpasswd file's hash is none that the registry takes: it takes bcrypt alone",
                "make the line anew, with bcrypt", _03, "D#608 D#655"),
        Failure(17, "a user `docker` with a password by chance, or `failed to open htpasswd path`",
                "the htpasswd file was not there when the registry started",
                "deliver the file, then start the registry", _03, "twuni/docker-registry.helm#50"),
        Failure(18, "htpasswd: executable file not found",
                "the image has no htpasswd program since 2020",
                "make the line with passlib", _03, "D#3189"),
        Failure(19, "pull hangs or gets 403 where push works",
                "a blob's GET is redirected to an S3 address that the client does not reach",
                "let clients reach S3, or set storage.redirect.disable: true", _02, "D#1073 D#432 D#2313 D#3284"),
        Failure(20, "unable to place a task: the port is already in use",
                "a fixed host port, and a deployment that starts the new task before the old one ends",
                "minimum 0 and maximum 100 percent, or dynamic ports behind an application load balancer", _04,
                "Amazon ECS service event messages"),
        Failure(21, "ResourceInitializationError: unable to pull secrets",
                "the execution role may not read the secret, or the secret is gone",
                "mend the execution role's policy, then a new deployment", _02, "Amazon ECS stopped task errors"),
        Failure(22, "the deployment's circuit breaker has rolled it back, and nothing says why",
                "the tasks of the new revision end by themselves",
                "read the stopped tasks' reasons and the last lines of their log", _02, "copilot#1879 copilot#2041"),
        Failure(23, "x509: unknown authority, hostname mismatch or an incomplete chain",
                "the certificate is for another name, has ended, or comes without its chain",
                "serve the right certificate with its chain", _05,
                "Docker: verify repository client with certificates"),
        Failure(24, "413 Request Entity Too Large",
                "a proxy before the registry limits the size of a request",
                "raise its limit, or take it away", _05, "docker-registry-proxy#1"),
        Failure(25, "small images are pushed, large ones are not",
                "the balancer's listener passes bytes (TCP or SSL) instead of HTTP",
                "use HTTPS to HTTP", _05, "D#1101"),
        Failure(26, "the registry ends with `redis configuration required`, serves stale blobs, or the cache is full",
                "the cache is wrongly configured: no redis section, addr for addrs, or no eviction by allkeys-lru",
                "configure redis as the version wants it, and maxmemory-policy allkeys-lru", _02, "D#4742"),
        Failure(27, "the registry does not reach a cache that speaks TLS",
                "this version has no TLS for redis",
                "use registry 3.1.0 or newer, or a cache without encryption in transit", _02, "D#3160 D#4770"),
        Failure(28, "a push succeeds after garbage collection, and the pull says MANIFEST_UNKNOWN",
                "the cache still tells of blobs that are gone from the storage",
                "collect garbage read-only, then flush the cache or restart the registries", _06,
                "D#4269 D#2094 D#3802"),
        Failure(29, "the bucket's cost grows, and nobody pushes more",
                "uploads that were begun and never finished stay in it",
                "a lifecycle rule for incomplete multipart uploads", _01, "D#4406 D#1948 D#2387"),
        Failure(30, "500 or SlowDown under load",
                "S3 throttles the registry's requests",
                "retry; a cache for blob descriptors; fewer requests at once", _02, "D#769 D#3456"),
        Failure(31, "the log is full of localhost:4318",
                "registry 3.0.0 sends traces to a collector that is not there",
                "set OTEL_TRACES_EXPORTER=none", _02, "D#4270"),
        Failure(32, "a browser's user interface gets 401 for OPTIONS",
                "a preflight carries no credentials, and the registry wants them for every request",
                "answer OPTIONS with CORS headers in a proxy before the registry", _05, "D#4458"),
        Failure(33, "nothing that one sees: the version has known holes",
                "registry 3.0 and 3.1.0 have known holes: CVE-2026-35172, CVE-2026-33540, CVE-2026-41888",
                "use registry 3.1.1 or newer", _02, "Distribution's release notes"),
    )
}  # fmt: skip
