"""Talks to a key-protected MCP server through the Python SDK, 1.x or 2.x.

Usage: client.py URL KEY. Prints one line per check and ends with `N passed, N failed`.
"""

import faulthandler
import json
import string
import sys
import time
import zlib
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio
from mcp.client.streamable_http import streamable_http_client

SDK = version("mcp")
V2 = int(SDK.split(".")[0]) >= 2
if V2:
    import httpx2 as httpx
    from mcp import Client, MCPError
else:
    import httpx
    from mcp import ClientSession

PREFIX = "mcp_sk_"
TOOLS = {"echo", "whoami", "write_note", "slow"}
CARRIERS = ("bearer", "x-api-key", "path")
DENIAL_LIMIT = 10
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RAW_REQUEST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    },
}


def checksum(text):
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        digits = ALPHABET[rest] + digits
    return digits


def with_other_secret(key):
    """The same handle and a right checksum, but one character of the secret differs."""
    body = key[:-6]
    at = len(PREFIX) + 8
    other = ALPHABET[(ALPHABET.index(body[at]) + 1) % len(ALPHABET)]
    body = body[:at] + other + body[at + 1 :]
    return body + checksum(body)


def present(url, carrier, key):
    """The URL and headers that carry the key."""
    if carrier == "bearer":
        return url, {"Authorization": f"Bearer {key}"}
    if carrier == "x-api-key":
        return url, {"X-API-Key": key}
    if carrier == "path":
        return f"{url}/{key}", {}
    return url, {}


def http_client(headers):
    # No proxy from the environment: the server is on the loopback interface.
    return httpx.AsyncClient(headers=headers, timeout=30, trust_env=False)


@asynccontextmanager
async def connect(url, headers, mode):
    """Yields the session and the protocol version it speaks."""
    async with http_client(headers) as http, connect_over(http, url, mode) as connected:
        yield connected


@asynccontextmanager
async def connect_over(http, url, mode):
    transport = streamable_http_client(url, http_client=http)
    if V2:
        async with Client(transport, mode=mode) as client:
            yield client, client.protocol_version
    else:
        async with transport as (read, write, _), ClientSession(read, write) as session:
            answer = await session.initialize()
            yield session, answer.protocolVersion


def text_of(result):
    assert not (result.is_error if V2 else result.isError), f"the tool failed: {result}"
    return result.content[0].text


def leaves(error):
    """The errors inside nested exception groups."""
    inside = getattr(error, "exceptions", None)
    return [leaf for part in inside for leaf in leaves(part)] if inside else [error]


class Report:
    def __init__(self, client, secrets):
        self.client, self.secrets = client, secrets
        self.passed = self.failed = 0

    def ok(self, carrier, what):
        self.passed += 1
        print(f"ok {self.client} {carrier} {what}", flush=True)

    def fail(self, carrier, what, *errors):
        every = [leaf for error in errors for leaf in leaves(error)]
        why = "; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in every)
        for secret in self.secrets:
            why = why.replace(secret, "<key>")
        why = " ".join(why.split())[:500]
        self.failed += 1
        print(f"FAILED {self.client} {carrier} {what}: {why}", flush=True)

    def judge(self, carrier, what, right, why):
        if right:
            self.ok(carrier, what)
        else:
            self.fail(carrier, what, AssertionError(why))


async def accepted(report, mode, url, key, carrier):
    """The whole life of a connection with a good key; its first failure ends it."""
    where, headers = present(url, carrier, key)
    step = "connect"
    try:
        with anyio.fail_after(60):
            async with connect(where, headers, mode) as (session, protocol):
                modern = protocol >= "2026-07-28"
                assert modern == (mode == "auto"), f"speaks {protocol}"
                report.ok(carrier, step)

                step = "tools/list"
                names = {tool.name for tool in (await session.list_tools()).tools}
                assert TOOLS <= names, f"tools are {sorted(names)}"
                report.ok(carrier, step)

                step = "echo"
                text = text_of(await session.call_tool("echo", {"message": "héllo"}))
                assert text == "héllo", f"got {text!r}"
                report.ok(carrier, step)

                step = "whoami"
                me = json.loads(text_of(await session.call_tool("whoami", {})))
                handle = key[len(PREFIX) :][:8]
                assert me["handle"] == handle, f"handle is {me['handle']!r}, not {handle!r}"
                assert me["id"] and "name" in me, f"fields are {sorted(me)}"
                report.ok(carrier, step)

                step = "slow with progress"
                seen = []

                async def progress(value, total, message):
                    seen.append(time.monotonic())

                text_of(await session.call_tool("slow", {}, progress_callback=progress))
                end = time.monotonic()
                assert len(seen) >= 3, f"{len(seen)} progress notifications"
                # An answer held back until it is complete shows them all at the end.
                lead = end - seen[0]
                assert lead >= 0.5, f"first progress only {lead:.2f} s before the result"
                report.ok(carrier, step)

                step = "disconnect"
            report.ok(carrier, step)
    except Exception as error:
        report.fail(carrier, step, error)


async def raw_denial(report, url, key, carrier, what, code):
    """The HTTP answer itself. Returns its body, or None if it is not as promised."""
    what = f"{what}: raw answer"
    where, headers = present(url, carrier, key)
    headers["Accept"] = "application/json, text/event-stream"
    try:
        async with http_client(headers) as http:
            answer = await http.post(where, json=RAW_REQUEST, timeout=DENIAL_LIMIT)
        assert answer.status_code == 401, f"status {answer.status_code}: {answer.text}"
        assert answer.headers["content-type"].startswith("application/json"), answer.headers
        body = answer.json()
        assert body["jsonrpc"] == "2.0" and body["id"] in (None, 1), body
        error = body["error"]
        assert error["code"] == -31001 and error["message"], body
        assert error["data"]["code"] == code, body
        assert error["data"]["type"] == "authentication_error", body
        challenge = answer.headers["www-authenticate"]
        assert challenge.split()[0].rstrip(",") == "Bearer", challenge
        if key is None:
            assert "error=" not in challenge, challenge
        else:
            assert 'error="invalid_token"' in challenge, challenge
            assert key not in f"{answer.headers}{answer.text}", "the answer repeats the key"
        if carrier == "path":
            assert answer.headers.get("referrer-policy") == "no-referrer", answer.headers
            assert "no-store" in answer.headers.get("cache-control", ""), answer.headers
        report.ok(carrier, what)
        return answer.text
    except Exception as error:
        report.fail(carrier, what, error)
        return None


async def client_denial(report, mode, url, key, carrier, what, code, raw):
    """What a user of the SDK sees: an error that says why, and soon."""
    what = f"{what}: client error"
    where, headers = present(url, carrier, key)
    try:
        with anyio.fail_after(DENIAL_LIMIT):
            async with connect(where, headers, mode):
                pass
    except Exception as error:
        try:
            if V2:
                found = next((e for e in leaves(error) if isinstance(e, MCPError)), None)
                assert found is not None, "no MCPError"
                assert found.code == -31001 and found.data["code"] == code, repr(found)
                if raw is not None:
                    message = json.loads(raw)["error"]["message"]
                    assert found.message == message, f"message is {found.message!r}"
            else:
                # 1.x keeps the status alone; the body is lost to its user.
                found = [e for e in leaves(error) if isinstance(e, httpx.HTTPStatusError)]
                assert found and found[0].response.status_code == 401, "no HTTP 401 error"
            report.ok(carrier, what)
        except Exception as wrong:
            report.fail(carrier, what, wrong, error)
    else:
        report.fail(carrier, what, AssertionError("the connection was accepted"))


async def main(url, key):
    # `auto` asks for the stateless protocol first; `legacy` is the only one 1.x knows.
    modes = ("auto", "legacy") if V2 else ("legacy",)
    wrong, malformed = with_other_secret(key), "mcp_sk_not-a-key"
    passed = failed = 0
    for mode in modes:
        name = f"python-mcp-{SDK}-{mode}" if V2 else f"python-mcp-{SDK}"
        report = Report(name, (key, wrong))

        async with anyio.create_task_group() as carriers:
            for carrier in CARRIERS:
                carriers.start_soon(accepted, report, mode, url, key, carrier)

        raw = {}
        if mode == modes[0]:
            right = key.startswith(PREFIX) and checksum(key[:-6]) == key[-6:]
            report.judge("none", "the key's checksum", right, "prefix or checksum is not ours")
            raw["none", "missing"] = await raw_denial(
                report, url, None, "none", "missing key", "missing_api_key"
            )
            for carrier in CARRIERS:
                for what, bad in (("wrong", wrong), ("malformed", malformed)):
                    raw[carrier, what] = await raw_denial(
                        report, url, bad, carrier, f"{what} key", "invalid_api_key"
                    )
                both = raw[carrier, "wrong"], raw[carrier, "malformed"]
                same = both[0] is not None and both[0] == both[1]
                report.judge(carrier, "wrong and malformed get one body", same, f"got {both}")
        for carrier, what, bad, code in (
            ("none", "missing", None, "missing_api_key"),
            ("bearer", "wrong", wrong, "invalid_api_key"),
            ("bearer", "malformed", malformed, "invalid_api_key"),
        ):
            await client_denial(
                report, mode, url, bad, carrier, f"{what} key", code, raw.get((carrier, what))
            )
        passed += report.passed
        failed += report.failed
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: client.py URL KEY")
    # The last resort against a hang that no timeout above can end.
    faulthandler.dump_traceback_later(180, exit=True)
    sys.exit(anyio.run(main, sys.argv[1], sys.argv[2]))
