"""Connects to an MCP server by OAuth through the provider of the Python SDK, 1.x or 2.x.

Usage: oauth.py STAGE MODE STATE URL KEY. STAGE is one of

* first: connects for the first time, uses tools, and renews its token when that has ended
* return: comes back with what it stored, whose token has ended in between
* more: comes back after the server has begun to ask for one scope more
* rights: calls a tool that writes, which a read-only connection may not; first the person lets it
  read only again, then they let it do all
* cut: is disconnected while it is connected, and denied when it asks again

MODE is how the SDK connects (auto or legacy; 1.x knows legacy alone), STATE a file for what a
program keeps, KEY that of the person, who is played by person.mjs. In the environment stand what the
person is played by (PERSON), the admin API of the gateway (ADMIN_API), where the server behind it
tells what was written (NOTES), and perhaps the URL of the document that the program is known by
(DOCUMENT).

Prints one line per check and ends with `N passed, N failed`.
"""

import faulthandler
import json
import logging
import os
import shlex
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import anyio
import anyio.to_thread
from client import SDK, V2, Report, connect_over, httpx, leaves, text_of
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

if V2:
    from mcp.shared.auth import AuthorizationCodeResult

CALLBACK = "http://127.0.0.1:8765/callback"
# What the program is known by, where servers take that. Otherwise it registers.
DOCUMENT = os.environ.get("DOCUMENT")
# The lifetime of access tokens in the first stage, and a moment more.
ACCESS = float(os.environ.get("ACCESS_SECONDS", "3")) + 0.5
# What stands for the right to change things, among the scopes.
FULL = "access/full"


class Kept:
    """What a program keeps between two runs."""

    def __init__(self, path):
        self.path = Path(path)
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.tokens = OAuthToken.model_validate(kept["tokens"]) if "tokens" in kept else None
        self.client = (
            OAuthClientInformationFull.model_validate(kept["client"]) if "client" in kept else None
        )

    def save(self):
        kept = {"tokens": self.tokens, "client": self.client}
        dumped = {
            name: value.model_dump(mode="json", exclude_none=True)
            for name, value in kept.items()
            if value is not None
        }
        self.path.write_text(json.dumps(dumped))

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens
        self.save()

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client
        self.save()


class Program:
    """A program that connects: its provider, the person before it, and what was asked of whom."""

    def __init__(self, url, key, kept, answer="allow", access=None):
        self.key, self.answer, self.access, self.kept = key, answer, access, kept
        self.asked, self.answered, self.authorized, self.refused = [], [], [], []
        self.callback = None
        self.provider = OAuthClientProvider(
            server_url=url,
            client_metadata=OAuthClientMetadata(
                client_name="Python checks",
                redirect_uris=[CALLBACK],
            ),
            client_metadata_url=DOCUMENT,
            storage=kept,
            redirect_handler=self.redirect,
            callback_handler=self.returned,
        )

    async def redirect(self, url):
        self.authorized.append(parameters(urlsplit(url).query))
        person = shlex.split(os.environ["PERSON"]) + [url, self.answer]
        if self.access is not None:
            person.append(self.access)
        came = await run(person, {**os.environ, "PERSON_KEY": self.key})
        self.callback = parameters(urlsplit(came.strip()).query)

    async def returned(self):
        came = self.callback
        if "error" in came:
            self.refused.append(came["error"])
            raise PermissionError(came["error"])
        if V2:
            return AuthorizationCodeResult(code=came["code"], state=came["state"], iss=came["iss"])
        return came["code"], came["state"]

    async def note(self, request):
        self.asked.append((request.method, request.url.path, form_of(request)))

    async def note_answer(self, response):
        challenge = response.headers.get("www-authenticate", "")
        self.answered.append((response.request.url.path, response.status_code, challenge))

    def count(self, path):
        return sum(asked == path for _, asked, _ in self.asked)

    def grants(self):
        return [form.get("grant_type") for _, path, form in self.asked if path == "/oauth/token"]

    def forget(self):
        self.asked.clear()
        self.answered.clear()
        self.authorized.clear()

    @asynccontextmanager
    async def connect(self, url, mode):
        async with (
            httpx.AsyncClient(
                auth=self.provider,
                timeout=30,
                trust_env=False,
                event_hooks={"request": [self.note], "response": [self.note_answer]},
            ) as http,
            connect_over(http, url, mode) as connected,
        ):
            yield connected


def form_of(request):
    kind = request.headers.get("content-type", "")
    if not kind.startswith("application/x-www-form-urlencoded"):
        return {}
    return parameters(request.content.decode())


def parameters(text):
    return {name: value[0] for name, value in parse_qs(text).items()}


async def run(command, environment):
    """What another program prints, which has to succeed."""
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    )
    assert done.returncode == 0, done.stderr.strip()
    return done.stdout


async def notes():
    """What was written, by the word of the server behind the gateway."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
        return (await http.get(os.environ["NOTES"])).raise_for_status().json()


async def who(session):
    return json.loads(text_of(await session.call_tool("whoami", {})))


class Steps:
    """Checks in a row; the first failure ends them."""

    def __init__(self, report, stage):
        self.report, self.stage, self.step = report, stage, "begin"

    def to(self, step):
        self.step = step

    def ok(self):
        self.report.ok(self.stage, self.step)

    def saw(self, what):
        """What is told, and not judged: clients differ in it."""
        print(f"   {self.report.client} {self.stage}: {what}", flush=True)


async def first(steps, url, mode, key, kept):
    program = Program(url, key, kept)
    steps.to("connect")
    async with program.connect(url, mode) as (session, protocol):
        steps.ok()
        path = urlsplit(url).path
        steps.to("discovery and registration")
        assert program.count(f"/.well-known/oauth-protected-resource{path}") == 1, program.asked
        assert program.count("/.well-known/oauth-authorization-server") == 1, program.asked
        assert program.count("/oauth/register") == (0 if DOCUMENT else 1), program.asked
        steps.ok()
        steps.to("authorization")
        assert len(program.authorized) == 1, program.authorized
        asked = program.authorized[0]
        assert asked["resource"] == url, asked
        assert DOCUMENT in (None, asked["client_id"]), asked
        assert asked["code_challenge_method"] == "S256" and asked["scope"], asked
        origin = url.removesuffix(path)
        assert program.callback["iss"] == origin, program.callback
        assert program.grants() == ["authorization_code"], program.grants()
        assert kept.tokens.refresh_token and kept.tokens.expires_in, kept.tokens
        steps.ok()
        steps.saw(f"speaks {protocol}, asks for {asked['scope']!r}, gets {kept.tokens.scope!r}")
        steps.to("tool call")
        assert text_of(await session.call_tool("echo", {"message": "héllo"})) == "héllo"
        me = await who(session)
        assert set(me["scopes"].split()) == set(kept.tokens.scope.split()), me
        steps.ok()
        steps.to("refresh")
        before = kept.tokens
        await anyio.sleep(ACCESS)
        program.forget()
        again = await who(session)
        assert program.grants() == ["refresh_token"], program.grants()
        assert not program.authorized, program.authorized
        assert again["id"] == me["id"], "another key after the refresh"
        assert again["handle"] != me["handle"], "the same token after the refresh"
        assert kept.tokens.refresh_token != before.refresh_token, "the refresh token stayed"
        steps.ok()
        steps.to("refresh again")
        await anyio.sleep(ACCESS)
        program.forget()
        assert (await who(session))["id"] == me["id"]
        assert program.grants() == ["refresh_token"], program.grants()
        steps.ok()
        steps.to("end")
    steps.ok()


async def comes_back(steps, url, mode, key, kept):
    program = Program(url, key, kept)
    steps.to("connect with a token that has ended")
    async with program.connect(url, mode) as (session, _):
        await who(session)
    steps.ok()
    steps.saw(f"token requests {program.grants()}, authorizations {len(program.authorized)}")


async def more(steps, url, mode, key, kept):
    program = Program(url, key, kept)
    before = set(kept.tokens.scope.split())
    steps.to("connect with a scope too few")
    async with program.connect(url, mode) as (session, _):
        steps.ok()
        steps.to("step-up")
        assert len(program.authorized) == 1, program.authorized
        asked = set(program.authorized[0]["scope"].split())
        assert before < asked, f"asks for {asked} after {before}"
        assert program.count("/oauth/register") == 0, "registered again"
        assert set(kept.tokens.scope.split()) == asked, kept.tokens.scope
        me = await who(session)
        assert set(me["scopes"].split()) == asked, me
        steps.ok()
    steps.saw(f"asks for {program.authorized[0]['scope']!r}")


async def rights(steps, url, mode, key, kept):
    refused, allowed = f"refused {uuid4()}", f"allowed {uuid4()}"
    program, answer = Program(url, key, kept, access="read"), None
    steps.to("connect")
    try:
        async with program.connect(url, mode) as (session, protocol):
            before = await who(session)
            steps.ok()
            steps.to("a connection that reads does not run a tool that writes")
            program.forget()
            with anyio.fail_after(20):
                answer = text_of(await session.call_tool("write_note", {"message": refused}))
    except Exception as error:
        # Some sessions end with the first call that fails.
        if steps.step == "connect":
            raise
        steps.saw(f"the call fails with {sorted({type(leaf).__name__ for leaf in leaves(error)})}")
    assert answer is None, f"the call was answered: {answer}"
    assert refused not in await notes(), "the tool was run"
    # The person was asked for it, once, and let the program read only again.
    assert len(program.authorized) == 1, program.authorized
    assert FULL in program.authorized[0]["scope"].split(), program.authorized
    assert FULL not in kept.tokens.scope.split(), kept.tokens.scope
    steps.ok()
    steps.to("step-up to full access")
    program = Program(url, key, kept, access="full")
    async with program.connect(url, mode) as (session, _):
        held = set(kept.tokens.scope.split())
        program.forget()
        answer = text_of(await session.call_tool("write_note", {"message": allowed}))
        assert answer == f"noted {len(allowed)} characters", answer
        assert (await notes()).count(allowed) == 1, "the tool was not run once"
        assert len(program.authorized) == 1, program.authorized
        assert program.count("/oauth/register") == 0, "registered again"
        assert set(kept.tokens.scope.split()) == held | {FULL}, kept.tokens.scope
        after = await who(session)
        assert set(after["scopes"].split()) == held, after
        steps.ok()
    same = "the same" if after["id"] == before["id"] else "another"
    steps.saw(f"speaks {protocol}, is {same} connection afterwards")


async def cut(steps, url, mode, key, kept):
    program, answer = Program(url, key, kept, answer="deny"), None
    path = urlsplit(url).path
    steps.to("connect")
    try:
        async with program.connect(url, mode) as (session, _):
            me = await who(session)
            refresh_token = kept.tokens.refresh_token
            steps.ok()
            steps.to("disconnected")
            async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
                done = await http.post(
                    f"{os.environ['ADMIN_API']}/connections/{me['id']}/disconnect",
                    headers={"Authorization": f"Bearer {key}"},
                )
            assert done.status_code == 200, done.text
            program.forget()
            # At once: it was the gateway itself that was told.
            with anyio.fail_after(10):
                answer = text_of(await session.call_tool("echo", {"message": "hello"}))
    except Exception as error:
        # Some sessions end with the first call that fails.
        if steps.step != "disconnected":
            raise
        steps.saw(f"the call fails with {sorted({type(leaf).__name__ for leaf in leaves(error)})}")
    assert answer is None, f"the call was answered: {answer}"
    said = [(status, challenge) for at, status, challenge in program.answered if at == path]
    assert said and {status for status, _ in said} == {401}, said
    assert all('error="invalid_token"' in challenge for _, challenge in said), said
    # Its open stream may have asked as well.
    assert set(program.refused) == {"access_denied"}, program.refused
    steps.ok()
    steps.to("its tokens are of no use")
    async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
        parts = urlsplit(url)
        answer = await http.post(
            f"{parts.scheme}://{parts.netloc}/oauth/token",
            data={
                "grant_type": "refresh_token",
                "refresh_token": refresh_token,
                "client_id": kept.client.client_id,
            },
        )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "invalid_grant", answer.text
    steps.ok()


STAGES = {"first": first, "return": comes_back, "more": more, "rights": rights, "cut": cut}


async def main(stage, mode, state, url, key):
    kept = Kept(state)
    name = f"python-mcp-{SDK}-{mode}" if V2 else f"python-mcp-{SDK}"
    report = Report(name, (key,))
    steps = Steps(report, stage)
    try:
        with anyio.fail_after(60):
            await STAGES[stage](steps, url, mode, key, kept)
    except Exception as error:
        report.fail(stage, steps.step, error)
    print(f"{report.passed} passed, {report.failed} failed", flush=True)
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit("usage: oauth.py STAGE MODE STATE URL KEY")
    # The SDK writes down what it raises, and some of it is expected here.
    logging.disable(logging.CRITICAL)
    # The last resort against a hang that no timeout above can end.
    faulthandler.dump_traceback_later(180, exit=True)
    sys.exit(anyio.run(main, *sys.argv[1:]))
