"""Signs requests with nothing but the standard library, as a client of another maker would.

Usage: signer.py URL KEY, against a server that requires signatures and refuses replays, and that
answers with what it was sent. Prints one line per check and ends with `N passed, N failed`.
"""

import hashlib
import hmac
import json
import sys
import time
import urllib.error
import urllib.request

# Straight to the server, whatever the environment says of proxies.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def sign(api_key, body, timestamp=None):
    timestamp = str(int(time.time())) if timestamp is None else timestamp
    message = f"{timestamp}.{body}"
    signature = hmac.new(api_key.encode(), message.encode(), hashlib.sha256).hexdigest()
    return {"X-MCP-Timestamp": timestamp, "X-MCP-Signature": signature}


def send(url, api_key, body, headers, method="POST"):
    """The status, and the text of a success or the code of a refusal."""
    headers = {
        "Authorization": f"Bearer {api_key}",
        "Content-Type": "application/json",
        **headers,
    }
    data = body.encode() if body else None
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with OPENER.open(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.loads(refusal.read())["error"]["code"]


def main():
    url, key = sys.argv[1:]
    passed = failed = 0

    def check(name, answer, expected):
        nonlocal passed, failed
        status, text = answer
        if status == expected[0] and text.endswith(expected[1]):
            print(f"ok {name}")
            passed += 1
        else:
            print(f"FAILED {name}: {status} {text}, not {expected}")
            failed += 1

    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    body = json.dumps(call)
    headers = sign(key, body)
    check("a signed call is accepted", send(url, key, body, headers), (200, body))
    replayed = (401, "replayed_request")
    check("the same call is a replay", send(url, key, body, headers), replayed)
    shouted = {**headers, "X-MCP-Signature": headers["X-MCP-Signature"].upper()}
    check("in capitals it is one too", send(url, key, body, shouted), replayed)

    text = json.dumps({"q": "Où est la 日本語 🚀?"}, ensure_ascii=False)
    check("text beyond ASCII", send(url, key, text, sign(key, text)), (200, text))
    large = json.dumps({"id": 2, "text": "x" * 500_000})
    check("a large body", send(url, key, large, sign(key, large)), (200, large))
    check("no body", send(url, key, "", sign(key, ""), "GET"), (200, "sent "))

    invalid = (401, "invalid_signature")
    compact = json.dumps(call, separators=(",", ":"))
    check("other spaces, other body", send(url, key, compact, headers), invalid)
    other = sign(key + "\n", body)
    check("a newline at the end of the key", send(url, key, body, other), invalid)
    stale = (401, "stale_timestamp")
    for name, seconds in [("too old", -310), ("in the future", 310)]:
        timestamp = str(int(time.time()) + seconds)
        check(name, send(url, key, body, sign(key, body, timestamp)), stale)
    fraction = sign(key, body, str(time.time()))
    check("seconds with a fraction", send(url, key, body, fraction), invalid)
    missing = (401, "missing_signature")
    check("not signed", send(url, key, body, {}), missing)
    del headers["X-MCP-Timestamp"]
    check("half signed", send(url, key, body, headers), missing)

    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
