"""What was read from AWS within one look, so that nothing is read twice."""

import copy
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

_again = ContextVar("again", default=False)


@contextmanager
def looking(again: bool) -> Iterator[None]:
    """Within the block somebody who waits looks, for the first time or `again`: then to see what has changed."""
    token = _again.set(again)
    try:
        yield
    finally:
        _again.reset(token)


class Memory:
    """Answers (and errors) by service and call; threads that ask the same at once share one call."""

    def __init__(self):
        self._answers: dict[tuple[str, str, str], Future] = {}
        self._lock = Lock()

    def recall(self, service: str, operation: str, parameters: dict[str, Any], read: Callable[[], Any]) -> Any:
        if _again.get():
            return read()
        key = (service, operation, json.dumps(parameters, sort_keys=True, default=repr))
        with self._lock:
            answer = self._answers.get(key)
            asks = answer is None
            if asks:
                answer = self._answers[key] = Future()
        if asks:
            try:
                answer.set_result(read())
            except BaseException as error:
                answer.set_exception(error)
        return copy.deepcopy(answer.result())
