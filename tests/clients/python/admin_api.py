"""Hooks of schemathesis: each request carries a key that is in force.

The requests rotate, disable and revoke keys, the one that they carry included. When that has happened
the command line makes another one.
"""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import schemathesis

API = os.environ["ADMIN_API"]


def make() -> str:
    command = [os.environ["MCP_KEYS"], "--store", os.environ["MCP_KEYS_STORE"], "--json", "create"]
    options = ["--name", "schemathesis", "--all-servers", "--scope", "*"]
    made = subprocess.run([*command, *options], check=True, capture_output=True)
    return json.loads(made.stdout)["key"]


def may(key: str) -> dict | None:
    """What the key may do, if it is in force; waits while the address is not heard."""
    request = urllib.request.Request(f"{API}/me", headers={"Authorization": f"Bearer {key}"})
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                me = json.load(answer)
                return {name: me[name] for name in ("may", "access", "admin")}
        except urllib.error.HTTPError as error:
            if error.code != 429:
                return None
            time.sleep(1)


@schemathesis.auth(refresh_interval=None)
class Key:
    key = None
    everything = None

    def get(self, case, context):
        if Key.key is None or may(Key.key) != Key.everything:
            Key.key = make()
            Key.everything = may(Key.key)
        return Key.key

    def set(self, case, data, context):
        # More than one key is refused, so the other way to present one is not to be tried as well.
        for name in [name for name in case.headers if name.lower() == "x-api-key"]:
            del case.headers[name]
        # What it fills this header with, as the shortest text, whatever the pattern in the document.
        if case.headers.get("If-Match") == "0":
            del case.headers["If-Match"]
        case.headers["Authorization"] = f"Bearer {data}"
