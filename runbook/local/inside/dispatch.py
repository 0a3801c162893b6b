"""Requests inside moto: the one place where service, operation and parameters of every call are known."""

import functools
from collections.abc import Callable

from moto.core.exceptions import ServiceException
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import get_service_model
from moto.iam.exceptions import NotFoundException
from moto.iam.responses import IamResponse
from werkzeug.exceptions import HTTPException

Rule = Callable[[dict, str], object]
GUARDS: list[Callable[[BaseResponse, object], None]] = []
"""Each is asked before every call, of every service; it gets moto's response object and the request."""


class Refused(ServiceException):
    """The call is refused with AWS's error code; `status` is the HTTP status where the API's model has none."""

    def __init__(self, code: str, message: str, status: int = 400):
        super().__init__(code, message)
        self.status = status


class _Answer(HTTPException):
    """An answer that ends moto's handling of a request, from its server and from its in-process mock alike."""

    def __init__(self, status: int, headers: dict, body: str):
        super().__init__()
        self.code, self._headers, self._body = status, headers, body

    def get_headers(self, *_, **__) -> list[tuple[str, str]]:
        return [(str(name), str(value)) for name, value in self._headers.items()]

    def get_body(self, *_, **__) -> str:
        return self._body


def install(rules: dict[tuple[str, str], Rule]) -> None:
    """Ask the rule for (service, operation) before every call that has one; a second call changes nothing.

    A rule gets the parameters as the API's model names them, and the region. It raises Refused, returns None to
    let moto answer, or returns the object to answer with.
    """
    if hasattr(BaseResponse.setup_class, "__wrapped__"):
        return
    BaseResponse.setup_class = _asking_first(BaseResponse.setup_class, rules)
    IamResponse.list_service_specific_credentials = _no_service_specific_credentials


def _asking_first(plain, rules: dict[tuple[str, str], Rule]):
    services = {service for service, _ in rules}

    @functools.wraps(plain)
    def setup_class(self, request, *args, **kwargs):
        plain(self, request, *args, **kwargs)
        try:
            for guard in GUARDS:
                guard(self, request)
            if self.service_name not in services:
                return
            action = self._get_action()
            rule = rules.get((self.service_name, action))
            if rule is None:
                return
            result = rule(parameters(self, request, action), self.region)
        except Refused as refused:
            status, headers, body = self.serialized(ActionResult(refused))
            raise _Answer(refused.status if status == 400 else status, headers, body) from None
        if result is not None:
            raise _Answer(*self.serialized(ActionResult(result)))

    return setup_class


def parameters(response: BaseResponse, request, action: str) -> dict:
    """The call's parameters, parsed by the API's own model."""
    model = get_service_model(response.boto3_service_name)
    parser = PROTOCOL_PARSERS[determine_request_protocol(model, request.content_type)]
    sent = {
        "method": request.method,
        "values": request.values,
        "headers": request.headers,
        "body": request.data,
        "url_path": request.path,
        "url_params": response.uri_match,
    }
    return parser(model.operation_model(action)).parse(sent)


def _no_service_specific_credentials(self) -> ActionResult:
    """ListServiceSpecificCredentials: moto lacks it; nobody in this account can have made one."""
    name = self._get_param("UserName")
    if name and name not in self.backend.users:
        raise NotFoundException(f"The user with name {name} cannot be found.")
    return ActionResult({"ServiceSpecificCredentials": []})
