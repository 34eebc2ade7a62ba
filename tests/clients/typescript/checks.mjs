// The checks both TypeScript clients run. Each line of output is one check; the last is `N passed, N failed`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const PREFIX = 'mcp_sk_';
const TOOLS = ['echo', 'slow', 'whoami', 'write_note'];
const CARRIERS = ['bearer', 'x-api-key', 'path'];
const STEP_LIMIT = 30_000;
const DENIAL_LIMIT = 10_000;
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RAW_REQUEST = {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
};

export const versionOf = name =>
    JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;

function checksum(text) {
    let crc = 0xffffffff;
    for (const byte of Buffer.from(text)) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    let number = ~crc >>> 0;
    let digits = '';
    for (let place = 0; place < 6; place++) {
        digits = ALPHABET[number % 62] + digits;
        number = Math.floor(number / 62);
    }
    return digits;
}

/** The same handle and a right checksum, but one character of the secret differs. */
function withOtherSecret(key) {
    const at = PREFIX.length + 8;
    const other = ALPHABET[(ALPHABET.indexOf(key[at]) + 1) % 62];
    const body = key.slice(0, at) + other + key.slice(at + 1, -6);
    return body + checksum(body);
}

/** The URL and headers that carry the key. */
export function present(url, carrier, key) {
    if (carrier === 'bearer') return [url, { Authorization: `Bearer ${key}` }];
    if (carrier === 'x-api-key') return [url, { 'X-API-Key': key }];
    if (carrier === 'path') return [`${url}/${key}`, {}];
    return [url, {}];
}

function within(milliseconds, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds / 1000} s`)), milliseconds);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function textOf(result) {
    assert.ok(!result.isError, `the tool failed: ${JSON.stringify(result)}`);
    return result.content[0].text;
}

export class Report {
    passed = 0;
    failed = 0;

    constructor(client, secrets) {
        this.client = client;
        this.secrets = secrets;
    }

    async check(carrier, what, body) {
        try {
            const value = await within(STEP_LIMIT, body());
            this.passed++;
            console.log(`ok ${this.client} ${carrier} ${what}`);
            return value;
        } catch (error) {
            let why = `${error?.name}: ${error?.message}`;
            for (const secret of this.secrets) why = why.replaceAll(secret, '<key>');
            this.failed++;
            console.log(`FAILED ${this.client} ${carrier} ${what}: ${why.replace(/\s+/g, ' ').slice(0, 500)}`);
            throw error;
        }
    }
}

/** The whole life of a connection with a good key; its first failure ends it. */
async function accepted(report, mode, url, key, carrier) {
    const [where, headers] = present(url, carrier, key);
    const { client, callTool } = mode;

    await report.check(carrier, 'connect', async () => {
        const protocol = await mode.connect(where, headers);
        assert.equal(protocol >= '2026-07-28', mode.modern, `speaks ${protocol}`);
    });
    await report.check(carrier, 'tools/list', async () => {
        const names = (await client.listTools()).tools.map(tool => tool.name);
        for (const name of TOOLS) assert.ok(names.includes(name), `tools are ${names}`);
    });
    await report.check(carrier, 'echo', async () => {
        assert.equal(textOf(await callTool('echo', { message: 'héllo' })), 'héllo');
    });
    await report.check(carrier, 'whoami', async () => {
        const me = JSON.parse(textOf(await callTool('whoami', {})));
        assert.equal(me.handle, key.slice(PREFIX.length, PREFIX.length + 8));
        assert.ok(me.id && 'name' in me, `fields are ${Object.keys(me)}`);
    });
    await report.check(carrier, 'slow with progress', async () => {
        const seen = [];
        textOf(await callTool('slow', {}, { onprogress: () => seen.push(performance.now()) }));
        const end = performance.now();
        assert.ok(seen.length >= 3, `${seen.length} progress notifications`);
        // An answer held back until it is complete shows them all at the end.
        const lead = end - seen[0];
        assert.ok(lead >= 500, `first progress only ${lead.toFixed()} ms before the result`);
    });
    await report.check(carrier, 'disconnect', () => client.close());
}

/** The HTTP answer itself; resolves to its body. */
function rawDenial(report, url, key, carrier, what, code) {
    return report.check(carrier, `${what} key: raw answer`, async () => {
        const [where, headers] = present(url, carrier, key);
        const answer = await fetch(where, {
            method: 'POST',
            headers: { ...headers, Accept: 'application/json, text/event-stream', 'Content-Type': 'application/json' },
            body: JSON.stringify(RAW_REQUEST),
            signal: AbortSignal.timeout(DENIAL_LIMIT),
        });
        const text = await answer.text();
        assert.equal(answer.status, 401, `status ${answer.status}: ${text}`);
        assert.match(answer.headers.get('content-type') ?? '', /^application\/json/);
        const { jsonrpc, id, error } = JSON.parse(text);
        assert.equal(jsonrpc, '2.0');
        assert.ok(id === null || id === RAW_REQUEST.id, text);
        assert.equal(error.code, -31001);
        assert.ok(error.message, text);
        assert.equal(error.data.code, code);
        assert.equal(error.data.type, 'authentication_error');
        const challenge = answer.headers.get('www-authenticate') ?? '';
        assert.match(challenge, /^Bearer\b/);
        if (key === undefined) {
            assert.doesNotMatch(challenge, /error=/);
        } else {
            assert.match(challenge, /error="invalid_token"/);
            const all = JSON.stringify([...answer.headers]) + text;
            assert.ok(!all.includes(key), 'the answer repeats the key');
        }
        if (carrier === 'path') {
            assert.equal(answer.headers.get('referrer-policy'), 'no-referrer');
            assert.match(answer.headers.get('cache-control') ?? '', /no-store/);
        }
        return text;
    });
}

/** What a user of the SDK sees: an error that says why, and soon. */
function clientDenial(report, mode, url, key, carrier, what, code) {
    return report.check(carrier, `${what} key: client error`, async () => {
        const [where, headers] = present(url, carrier, key);
        const [error] = await within(
            DENIAL_LIMIT,
            mode.connect(where, headers).then(
                () => [],
                error => [error],
            ),
        );
        assert.ok(error, 'the connection was accepted');
        const { status, text } = mode.denial(error);
        assert.equal(status, 401, `${error.name}: ${error.message}`);
        // The SDK hands the body on as text, so the reason is there to be read.
        assert.ok(text.includes(code), `no ${code} in: ${text}`);
    });
}

/**
 * `modes` holds functions, each of which makes an unconnected client: its `name`, whether it is `modern`, the SDK's
 * `client`, `connect(url, headers)` resolving to the protocol version, `callTool(name, arguments, options)`,
 * `denial(error)` giving the HTTP status and body text an error holds, and `isAnswer(error)` whether it is a JSON-RPC
 * error instead.
 */
export async function run(modes) {
    const [url, key] = process.argv.slice(2);
    if (!key) {
        console.error(`usage: ${process.argv[1]} URL KEY`);
        process.exit(2);
    }
    const wrong = withOtherSecret(key);
    const malformed = 'mcp_sk_not-a-key';
    // The last resort against a hang that no timeout above can end.
    setTimeout(() => {
        console.log('FAILED: still running after 180 s');
        process.exit(1);
    }, 180_000).unref();

    let passed = 0;
    let failed = 0;
    for (const [index, make] of modes.entries()) {
        const report = new Report(make().name, [key, wrong]);
        // Every failure is already reported where it happened.
        const quietly = promise => promise.catch(() => undefined);

        await Promise.all(CARRIERS.map(carrier => quietly(accepted(report, make(), url, key, carrier))));
        if (index === 0) {
            await quietly(
                report.check('none', "the key's checksum", () => {
                    assert.ok(key.startsWith(PREFIX) && checksum(key.slice(0, -6)) === key.slice(-6));
                }),
            );
            await quietly(rawDenial(report, url, undefined, 'none', 'missing', 'missing_api_key'));
            for (const carrier of CARRIERS) {
                const one = await quietly(rawDenial(report, url, wrong, carrier, 'wrong', 'invalid_api_key'));
                const two = await quietly(rawDenial(report, url, malformed, carrier, 'malformed', 'invalid_api_key'));
                await quietly(
                    report.check(carrier, 'wrong and malformed get one body', () => {
                        assert.ok(one !== undefined && one === two, `got ${one} and ${two}`);
                    }),
                );
            }
        }
        await quietly(clientDenial(report, make(), url, undefined, 'none', 'missing', 'missing_api_key'));
        await quietly(clientDenial(report, make(), url, wrong, 'bearer', 'wrong', 'invalid_api_key'));
        await quietly(clientDenial(report, make(), url, malformed, 'bearer', 'malformed', 'invalid_api_key'));
        passed += report.passed;
        failed += report.failed;
    }
    console.log(`${passed} passed, ${failed} failed`);
    process.exit(failed || !passed ? 1 : 0);
}
