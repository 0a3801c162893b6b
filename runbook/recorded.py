"""What a notebook shows, kept beside its looks in the executed notebook, where the report of a run reads it again."""

from dataclasses import asdict
from typing import Any

KEY = "runbook"  # in an output's metadata


class Recorded:
    """A dataclass whose fields go into the metadata of the output that shows it (an IPython hook)."""

    def _recorded(self) -> list[dict[str, Any]]:
        return [{"kind": type(self).__name__, **asdict(self)}]

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict, dict]:
        return {}, {KEY: self._recorded()}
