"""Faults on the way to AWS, at a chosen call: refused, broken off, answered and lost, answered as things were before.

moto answers within the process; here its answers are withheld, replaced or delayed, below botocore, which retries as it
would on AWS. `Wire` is what stands between, a fault is a function `(wire, call) -> answer` that may raise.
"""

import contextlib
import gc
import json
import multiprocessing
import os
import pickle
import sys
import threading
import time
import traceback
from types import SimpleNamespace
from typing import NamedTuple

from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse

from runbook.session import _READS

# The code by which each service says the same, and its HTTP status; "" is that of all others.
_QUERY = {"iam", "sts", "elastic-load-balancing", "elastic-load-balancing-v2", "auto-scaling", "elasticache"}
THROTTLED = {
    "s3": ("SlowDown", 503),
    "ec2": ("RequestLimitExceeded", 503),
    "route-53": ("PriorRequestNotComplete", 400),
    **dict.fromkeys(_QUERY, ("Throttling", 400)),
    "": ("ThrottlingException", 400),
}
DENIED = {
    "ec2": ("UnauthorizedOperation", 403),
    **dict.fromkeys(_QUERY | {"s3", "route-53"}, ("AccessDenied", 403)),
    "": ("AccessDeniedException", 400),
}
EXPIRED = {
    "s3": ("ExpiredToken", 400),
    "ec2": ("RequestExpired", 400),
    **dict.fromkeys(_QUERY | {"route-53"}, ("ExpiredToken", 403)),
    "": ("ExpiredTokenException", 400),
}

# What AWS answers as before when it is made again, by a token in it or by its name and settings; moto does it again.
# https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
IDEMPOTENT = {
    *("ec2 RunInstances", "ec2 CreateLaunchTemplate", "ec2 CreateLaunchTemplateVersion", "ecs CreateService"),
    *("secrets-manager CreateSecret", "secrets-manager PutSecretValue", "acm RequestCertificate"),
    *("elastic-load-balancing-v2 CreateLoadBalancer", "elastic-load-balancing-v2 CreateTargetGroup"),
    *("elastic-load-balancing ModifyLoadBalancerAttributes", "iam AttachRolePolicy"),
    "application-auto-scaling PutScalingPolicy",
}
# What AWS refuses when it is made again; moto does it again, or breaks off with an error of its own.
ONLY_ONCE = {
    "elastic-load-balancing-v2 CreateListener": ("DuplicateListener", "A listener already exists on this port"),
    "application-auto-scaling DeleteScalingPolicy": ("ObjectNotFoundException", "No scaling policy found"),
    "application-auto-scaling DeregisterScalableTarget": ("ObjectNotFoundException", "No scalable target found"),
    "ec2 DeleteLaunchTemplate": ("InvalidLaunchTemplateName.NotFoundException", "There is no such launch template"),
    "iam RemoveRoleFromInstanceProfile": ("NoSuchEntity", "The role is not in the instance profile"),
    "ecs DeleteCapacityProvider": ("ClientException", "The specified capacity provider does not exist."),
}


class Call(NamedTuple):
    """One attempt of one call: `number` counts calls from 1, `attempt` counts botocore's attempts at it from 1."""

    number: int
    attempt: int
    service: str
    operation: str
    request: AWSPreparedRequest

    @property
    def is_read(self):
        return self.operation.startswith(_READS)

    @property
    def name(self):
        return f"{self.service} {self.operation}"


class Wire:
    """Between botocore and moto. While a `fault` is set, every call goes through it and is listed in `calls`."""

    def __init__(self, monkeypatch):
        self.fault, self.calls, self.attempts, self.naps, self._told = None, [], [], [], {}
        plain, self._inside, wire = BotocoreStubber.__call__, False, self

        def call(stubber, event_name, request, **_):
            if wire.fault is None or wire._inside:
                return plain(stubber, event_name, request)
            wire._plain, wire.stubber = lambda: plain(stubber, event_name, request), stubber
            return wire._through(*event_name.split(".")[1:], request)

        monkeypatch.setattr(BotocoreStubber, "__call__", call)
        monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=self.naps.append))

    @contextlib.contextmanager
    def broken_by(self, fault):
        self.fault, self.calls, self.attempts, self._told = fault, [], [], {}
        try:
            yield self
        finally:
            self.fault = None

    def send(self):
        """moto's answer, after the call took effect."""
        call = self.attempts[-1]
        known = (call.name, call.request.body)
        if known in self._told:
            if call.name in ONLY_ONCE:
                code, message = ONLY_ONCE[call.name]
                return answer(call, code, 400, message)
            status, headers, body = self._told[known]
            return AWSResponse(call.request.url, status, HeadersDict(headers), MockRawResponse(body))
        self._inside = True
        try:
            response = self._plain()
        finally:
            self._inside = False
        if (call.name in IDEMPOTENT or call.name in ONLY_ONCE) and response.status_code < 300:
            body = response.content
            self._told[known] = response.status_code, dict(response.headers), body
            response.raw = MockRawResponse(body)
        return response

    def _through(self, service, operation, request):
        attempt = int(str(request.headers["amz-sdk-request"]).partition("attempt=")[2].partition(";")[0].strip("'"))
        if attempt == 1:
            self.calls.append(f"{service} {operation}")
        call = Call(len(self.calls), attempt, service, operation, request)
        self.attempts.append(call)
        return self.fault(self, call)


def answer(call, code, status, message=""):
    """An error as the service's protocol writes it. The answer to HEAD has no body."""
    headers, request = {"x-amzn-requestid": "0"}, call.request
    if request.method == "HEAD":
        body = b""
    elif "smithy-protocol" in {name.lower() for name in request.headers}:
        headers |= {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"}
        body = b"\xa2" + b"".join(_cbor(text) for text in ("__type", code, "message", message))
    elif "X-Amz-Target" in request.headers:
        headers["content-type"] = "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message}).encode()
    else:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        if call.service == "ec2":
            error = f"<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>"
        elif call.service != "s3":
            error = f"<ErrorResponse>{error}<RequestId>0</RequestId></ErrorResponse>"
        headers["content-type"], body = "text/xml", error.encode()
    return AWSResponse(request.url, status, HeadersDict(headers), MockRawResponse(body))


def _cbor(text):
    data = text.encode()
    assert len(data) < 256
    return (bytes([0x60 + len(data)]) if len(data) < 24 else bytes([0x78, len(data)])) + data


def _said(codes, call, message):
    code, status = codes.get(call.service, codes[""])
    return answer(call, code, status, message)


def none(wire, _):
    return wire.send()


# What goes wrong once with one attempt, before the call reached AWS or after; botocore makes it good by itself.


def throttled(_, call):
    return _said(THROTTLED, call, "Rate exceeded")


def status(code):
    def broken(_, call):
        return answer(call, "InternalFailure" if code == 500 else "ServiceUnavailable", code, "try again")

    return broken


def connect_timeout(_, call):
    raise ConnectTimeoutError(endpoint_url=call.request.url, error="timed out")


def read_timeout(_, call):
    raise ReadTimeoutError(endpoint_url=call.request.url, error="timed out")


def reset(_, call):
    raise ConnectionClosedError(endpoint_url=call.request.url)


def lost(wire, call):
    """It took effect, and its answer never came."""
    wire.send()
    raise ConnectionClosedError(endpoint_url=call.request.url)


def denied(_, call):
    named = f"{call.service}:{call.operation} on resource: *"
    return _said(DENIED, call, f"User: arn:aws:iam::123456789012:user/x is not authorized to perform: {named}")


def expired(_, call):
    return _said(EXPIRED, call, "The security token included in the request is expired")


def once(fault, number):
    """The fault at the first attempt of one call."""
    return lambda wire, call: fault(wire, call) if (call.number, call.attempt) == (number, 1) else wire.send()


def each_time(fault, number):
    """The fault at every attempt of one call."""
    return lambda wire, call: fault(wire, call) if call.number == number else wire.send()


def from_then_on(fault, number):
    """The fault at one call and at all after it."""
    return lambda wire, call: fault(wire, call) if call.number >= number else wire.send()


def refused(number, code, message, times=2):
    """The operation is refused so many times, and then taken: what it names is not known everywhere yet."""
    refusals = []

    def soon(wire, call):
        if call.number == number or refusals and refusals[0] == call.name and len(refusals) < times:
            refusals.append(call.name)
            return answer(call, code, 400, message)
        return wire.send()

    return soon


class stale:
    """After a write the first `times` reads of each kind, in its service, see the account as it was before it."""

    def __init__(self, number, times):
        self.number, self.times, self.past, self.seen = number, times, None, {}

    def __call__(self, wire, call):
        if call.number == self.number and call.attempt == 1:
            self.past, self.service = Past(wire.stubber), call.service
        elif self.past and call.service == self.service and call.is_read:
            seen = self.seen[call.operation] = self.seen.get(call.operation, 0) + 1
            if seen <= self.times:
                return self.past.answer(call.request)
        return wire.send()

    def close(self):
        if self.past:
            self.past.close()


class Past:
    """A copy of this process, and so of moto's account, as it is now; it answers reads later."""

    def __init__(self, stubber):
        self._pipe, theirs = multiprocessing.Pipe()
        self._pid = os.fork()
        if self._pid:
            theirs.close()
            return
        try:
            self._pipe.close()
            while True:
                method, url, headers, body = theirs.recv()
                request = AWSPreparedRequest(method, url, HeadersDict(headers), body, False)
                try:
                    code, answered, content = stubber.process_request(request)
                    theirs.send((code, dict(answered), content))
                except Exception:
                    theirs.send((500, {}, traceback.format_exc()))
        except EOFError:
            os._exit(0)
        finally:
            os._exit(1)

    def answer(self, request):
        self._pipe.send((request.method, request.url, dict(request.headers.items()), request.body))
        status, headers, body = self._pipe.recv()
        return AWSResponse(request.url, status, HeadersDict(headers), MockRawResponse(body))

    def close(self):
        self._pipe.close()
        os.waitpid(self._pid, 0)


def apart(function):
    """What the function returns in a copy of this process: what it does to moto's account stays there."""
    gc.freeze()  # or collecting would touch, and so copy, every object of the process
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            result = pickle.dumps((True, function()))
            status = 0
        except BaseException:
            result = pickle.dumps((False, traceback.format_exc()))
        try:
            with open(writing, "wb") as pipe:
                pipe.write(result)
            sys.stderr.flush()
        finally:
            os._exit(status)
    os.close(writing)
    reaping = threading.Thread(target=os.waitpid, args=(pid, 0))
    reaping.start()  # it may end before its `successor` has written
    with open(reading, "rb") as pipe:
        content = pipe.read()
    reaping.join()
    fine, result = pickle.loads(content)
    assert fine, result
    return result


def successor():
    """Go on in another process, as a person's next run does; this one has ended when it returns."""
    first = os.getpid()
    if os.fork():
        os._exit(0)
    while os.path.exists(f"/proc/{first}"):
        time.sleep(0.001)
