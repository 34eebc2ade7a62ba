"""Talks through the Python SDK, 1.x or 2.x, to a server whose keys may call different tools.

Usage: tools.py MODE URL KEYS. KEYS is `name=key,…` with the keys of the example mcp_tools. Prints one
line per check and ends with `N passed, N failed`.
"""

import faulthandler
import re
import sys
import time
from contextlib import contextmanager

import anyio
from client import SDK, V2, Report, connect_over, http_client, leaves, present, text_of

if V2:
    from mcp import MCPError as McpError
else:
    from mcp import McpError
    from pydantic import AnyUrl

# What each key may call.
TOOLS = {
    "full": {"delete_note", "read_note", "search_notes", "write_note"},
    "reader": {"read_note", "search_notes"},
    "writer": {"write_note"},
    "limited": {"read_note", "search_notes", "write_note"},
}
NOTE = {"name": "note", "text": "héllo"}
PROMPT, RESOURCE = "summary", "notes://list"


class Reported(Exception):
    """A check failed, and has said so."""


class Key:
    """The checks of one key, in one session."""

    def __init__(self, report, name, session):
        self.report, self.name, self.session = report, name, session

    @contextmanager
    def check(self, what):
        try:
            yield
        except Exception as error:
            self.report.fail(self.name, what, error)
            raise Reported from error
        self.report.ok(self.name, what)

    async def call(self, tool, **options):
        return text_of(await self.session.call_tool(tool, NOTE, **options))

    async def get_prompt(self):
        return (await self.session.get_prompt(PROMPT)).messages[0].content.text

    async def read_resource(self):
        uri = RESOURCE if V2 else AnyUrl(RESOURCE)
        return (await self.session.read_resource(uri)).contents[0].text

    async def refused(self, call, *words):
        """The call is an error of MCP whose text, as users see it, has these words."""
        try:
            answer = await call
        except McpError as error:
            for word in words:
                assert re.search(word, str(error)), f"no {word} in: {error}"
            return error if V2 else error.error
        raise AssertionError(f"not refused: {answer}")

    async def refused_by_rule(self, call, sort, what):
        if self.name == "reader":
            code, reason = "read_only_key", f"This key may only read, and tool {what} may do more"
        else:
            code, reason = "tool_not_allowed", f"{sort} {what} is not permitted for this key"
        error = await self.refused(call, re.escape(reason))
        assert error.data["code"] == code, error.data
        assert error.data["type"] == "permission_error", error.data

    async def lists(self):
        with self.check("lists show what is its own"):
            tools = {tool.name for tool in (await self.session.list_tools()).tools}
            assert tools == TOOLS[self.name], f"tools are {sorted(tools)}"
            prompts = [prompt.name for prompt in (await self.session.list_prompts()).prompts]
            resources = [str(one.uri) for one in (await self.session.list_resources()).resources]
            rest = ([], []) if self.name == "writer" else ([PROMPT], [RESOURCE])
            assert (prompts, resources) == rest, f"prompts {prompts}, resources {resources}"

    async def tools(self):
        for tool in sorted(TOOLS["full"] - TOOLS[self.name]):
            with self.check(f"{tool} is refused"):
                await self.refused_by_rule(self.call(tool), "Tool", tool)
        with self.check("another tool in the same session"):
            if self.name == "reader":
                # What full wrote and did not delete.
                assert await self.call("read_note") == NOTE["text"]
            else:
                assert await self.call("write_note") == "written"

    async def progress(self):
        """It arrives while the tool works, although the layer reads what is asked."""
        with self.check("progress of a slow tool"):
            seen = []

            async def progress(value, total, message):
                seen.append(time.monotonic())

            found = await self.call("search_notes", progress_callback=progress)
            end = time.monotonic()
            assert found == "1 found", found
            assert len(seen) >= 3, f"{len(seen)} progress notifications"
            lead = end - seen[0]
            assert lead >= 0.5, f"first progress only {lead:.2f} s before the result"

    async def prompts_and_resources(self):
        if self.name == "writer":
            with self.check("the prompt and the resource are refused"):
                await self.refused_by_rule(self.get_prompt(), "Prompt", PROMPT)
                await self.refused_by_rule(self.read_resource(), "Resource", RESOURCE)
        else:
            with self.check("the prompt and the resource"):
                assert (await self.get_prompt()).endswith(NOTE["name"])
                assert await self.read_resource() == NOTE["name"]

    async def limit(self):
        with self.check("three calls a minute"):
            for _ in range(3):
                assert await self.call("read_note") == NOTE["text"]
        with self.check("the fourth shows the reason and the wait"):
            error = await self.refused(self.call("read_note"), "rate limit", r"retry in \d+ s")
            wait = int(re.search(r"retry in (\d+) s", error.message)[1])
            assert 5 <= wait <= 20, error.message
            assert error.data["code"] == "rate_limit_exceeded", error.data
            assert wait - 1 <= error.data["retry_after_ms"] / 1000 <= wait, error.data
        with self.check("another tool in the same session after the limit"):
            assert await self.call("write_note") == "written"

    async def with_another_key(self, http, keys):
        """The session is unknown to the other key, and still there for its own."""
        other = "writer" if self.name == "full" else "full"
        with self.check("its session with another key"):
            http.headers["Authorization"] = f"Bearer {keys[other]}"
            await self.refused(self.session.list_tools(), "[Ss]ession")
        with self.check("its session with its own key again"):
            http.headers["Authorization"] = f"Bearer {keys[self.name]}"
            tools = {tool.name for tool in (await self.session.list_tools()).tools}
            assert tools == TOOLS[self.name], f"tools are {sorted(tools)}"


async def session_of(report, mode, url, keys, name):
    url, headers = present(url, "bearer", keys[name])
    async with (
        http_client(headers) as http,
        connect_over(http, url, mode) as (session, protocol),
    ):
        key, modern = Key(report, name, session), protocol >= "2026-07-28"
        with key.check("connect"):
            assert modern == (mode == "auto"), f"speaks {protocol}"
        await key.lists()
        await key.tools()
        await key.prompts_and_resources()
        if "search_notes" in TOOLS[name]:
            await key.progress()
        if name == "limited":
            await key.limit()
        if not modern:
            await key.with_another_key(http, keys)


async def main(mode, url, keys):
    keys = dict(pair.split("=") for pair in keys.split(","))
    name = f"python-mcp-{SDK}-{mode}" if V2 else f"python-mcp-{SDK}"
    report = Report(name, keys.values())
    # Full is the first: what it writes, the others read.
    for name in TOOLS:
        try:
            with anyio.fail_after(60):
                await session_of(report, mode, url, keys, name)
        except Exception as error:
            # The SDK may have put the failure of a check into a group.
            others = [leaf for leaf in leaves(error) if not isinstance(leaf, Reported)]
            if others:
                report.fail(name, "session", *others)
    print(f"{report.passed} passed, {report.failed} failed", flush=True)
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: tools.py MODE URL KEYS")
    # The last resort against a hang that no timeout above can end.
    faulthandler.dump_traceback_later(180, exit=True)
    sys.exit(anyio.run(main, *sys.argv[1:]))
