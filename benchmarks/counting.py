"""A reverse proxy before the embedded cloud that counts the calls, and makes each as slow as one to a distant AWS.

It counts what arrives: every retry, every page, whoever the client is. Each call has a connection of its own, as
moto closes it after every answer. The cloud's own paths (/_runbook/…) are passed on and neither counted nor slowed.
It is a process of its own, so that its work is not the client's: `python counting.py ADDRESS UPSTREAM_PORT`.
"""

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

OWN = "/_counting"
LONGEST_HEAD = 1 << 20
SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")
IDENTIFIER = re.compile(r"/[^/?]*\d[^/?]*")


class Counted:
    """The calls since the last `reset`, by service and operation."""

    def __init__(self, endpoint: str):
        where = urlsplit(endpoint)
        command = [sys.executable, __file__, where.hostname, str(where.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.endpoint = f"http://{where.hostname}:{self._process.stdout.readline().strip()}"

    def reset(self, *, delay: float = 0.0) -> None:
        """Count from nothing; `delay` in seconds is added to each call from now on."""
        self._ask(f"/reset?delay={delay}")

    def calls(self) -> Counter:
        return Counter(self._ask("/calls"))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _ask(self, path: str) -> dict:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(self.endpoint + OWN + path, timeout=10) as answer:
            return json.load(answer)


class Proxy:
    def __init__(self, host: str, port: int):
        self.upstream, self.delay, self.counted = (host, port), 0.0, Counter()
        self._answering: set[asyncio.Task] = set()  # asyncio itself keeps no task alive

    async def serve(self) -> None:
        server = await asyncio.start_server(self._begin, self.upstream[0], 0, limit=LONGEST_HEAD)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self.answer(reader, writer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            if path.startswith(OWN):
                writer.write(self._own(path))
                await writer.drain()
            else:
                await self._pass_on(head, method, path, reader, writer)
        writer.close()

    def _own(self, path: str) -> bytes:
        asked = urlsplit(path)
        if asked.path.endswith("/reset"):
            self.delay, self.counted = float(parse_qs(asked.query)["delay"][0]), Counter()
        body = json.dumps(self.counted).encode()
        return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def _pass_on(self, head: str, method: str, path: str, reader, writer) -> None:
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n"))}
        body = b""
        if "expect" not in headers:  # else the client waits for the upstream's "100 Continue"
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        if not path.startswith("/_runbook/"):
            self.counted[operation(method, path, headers, body)] += 1
            await asyncio.sleep(self.delay)
        lines = [line for line in head.split("\r\n")[:-2] if not re.match("(host|connection): ", line, re.IGNORECASE)]
        # The cloud answers nobody who calls it by another address than its own.
        lines += ["Host: {}:{}".format(*self.upstream), "Connection: close", "", ""]
        from_cloud, to_cloud = await asyncio.open_connection(*self.upstream)
        to_cloud.write("\r\n".join(lines).encode("latin-1") + body)
        sending = asyncio.create_task(copy(reader, to_cloud))
        await copy(from_cloud, writer)
        sending.cancel()
        to_cloud.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()


def operation(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """`ecs DescribeClusters`; where the protocol does not name it (S3, Route 53), the method and what of the path is
    no identifier."""
    scope = SCOPE.search(headers.get("authorization", ""))
    service = scope[1] if scope else "unsigned"
    if target := headers.get("x-amz-target"):
        return f"{service} {target.rpartition('.')[2]}"
    if action := parse_qs(body.decode("latin-1")).get("Action"):
        return f"{service} {action[0]}"
    where = urlsplit(path)
    if service == "s3":
        kind = "object" if where.path.strip("/").count("/") else "bucket"
        asked = sorted(key for key in parse_qs(where.query, keep_blank_values=True) if key != "x-id")
        return f"s3 {method} {kind}{'?' if asked else ''}{'&'.join(asked)}"
    if "/operation/" in where.path:
        return f"{service} {where.path.rpartition('/')[2]}"
    return f"{service} {method} {IDENTIFIER.sub('/…', where.path)}"


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(Proxy(sys.argv[1], int(sys.argv[2])).serve())
