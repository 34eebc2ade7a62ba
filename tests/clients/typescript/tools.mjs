// The checks both TypeScript clients run against a server whose keys may call different tools, the example mcp_tools.
// Each line of output is one check; the last is `N passed, N failed`.
import assert from 'node:assert/strict';
import { Report, present, textOf } from './checks.mjs';

// What each key may call. Full is the first: what it writes, the others read.
const TOOLS = {
    full: ['delete_note', 'read_note', 'search_notes', 'write_note'],
    reader: ['read_note', 'search_notes'],
    writer: ['write_note'],
    limited: ['read_note', 'search_notes', 'write_note'],
};
const NOTE = { name: 'note', text: 'héllo' };
const PROMPT = 'summary';
const RESOURCE = 'notes://list';

/** The checks of one key, in one session; the first failure ends them. */
async function session(report, mode, url, keys, name) {
    const [where, headers] = present(url, 'bearer', keys[name]);
    const { client } = mode;
    const check = (what, body) => report.check(name, what, body);
    const call = async (tool, options) => textOf(await mode.callTool(tool, NOTE, options));
    const getPrompt = async () => (await client.getPrompt({ name: PROMPT })).messages[0].content.text;
    const readResource = async () => (await client.readResource({ uri: RESOURCE })).contents[0].text;
    const toolsAreIts = async () => {
        const tools = (await client.listTools()).tools.map(tool => tool.name);
        assert.deepEqual(tools.sort(), TOOLS[name]);
    };

    /** The call is an error of MCP, whose text is what users see. */
    const refused = async promise => {
        const [error, answer] = await promise.then(
            answer => [undefined, answer],
            error => [error],
        );
        assert.ok(error, `not refused: ${answer}`);
        assert.ok(mode.isAnswer(error), `${error.name}: ${error.message}`);
        return error;
    };
    const refusedByRule = async (promise, sort, what) => {
        const { message, data } = await refused(promise);
        const [code, reason] =
            name === 'reader'
                ? ['read_only_key', `This key may only read, and tool ${what} may do more`]
                : ['tool_not_allowed', `${sort} ${what} is not permitted for this key`];
        assert.ok(message.includes(reason), message);
        assert.equal(data.code, code);
        assert.equal(data.type, 'permission_error');
    };

    await check('connect', async () => {
        const protocol = await mode.connect(where, headers);
        assert.equal(protocol >= '2026-07-28', mode.modern, `speaks ${protocol}`);
    });
    await check('lists show what is its own', async () => {
        await toolsAreIts();
        const prompts = (await client.listPrompts()).prompts.map(prompt => prompt.name);
        const resources = (await client.listResources()).resources.map(resource => resource.uri);
        assert.deepEqual([prompts, resources], name === 'writer' ? [[], []] : [[PROMPT], [RESOURCE]]);
    });
    for (const tool of TOOLS.full.filter(tool => !TOOLS[name].includes(tool))) {
        await check(`${tool} is refused`, () => refusedByRule(call(tool), 'Tool', tool));
    }
    await check('another tool in the same session', async () => {
        // What full wrote and did not delete.
        if (name === 'reader') assert.equal(await call('read_note'), NOTE.text);
        else assert.equal(await call('write_note'), 'written');
    });
    if (name === 'writer') {
        await check('the prompt and the resource are refused', async () => {
            await refusedByRule(getPrompt(), 'Prompt', PROMPT);
            await refusedByRule(readResource(), 'Resource', RESOURCE);
        });
    } else {
        await check('the prompt and the resource', async () => {
            assert.ok((await getPrompt()).endsWith(NOTE.name));
            assert.equal(await readResource(), NOTE.name);
        });
        await check('progress of a slow tool', async () => {
            const seen = [];
            const found = await call('search_notes', { onprogress: () => seen.push(performance.now()) });
            const end = performance.now();
            assert.equal(found, '1 found');
            assert.ok(seen.length >= 3, `${seen.length} progress notifications`);
            // An answer held back until it is complete shows them all at the end.
            const lead = end - seen[0];
            assert.ok(lead >= 500, `first progress only ${lead.toFixed()} ms before the result`);
        });
    }
    if (name === 'limited') {
        await check('three calls a minute', async () => {
            for (let number = 0; number < 3; number++) assert.equal(await call('read_note'), NOTE.text);
        });
        await check('the fourth shows the reason and the wait', async () => {
            const { message, data } = await refused(call('read_note'));
            assert.match(message, /rate limit/);
            const wait = Number(/retry in (\d+) s/.exec(message)?.[1]);
            assert.ok(wait >= 5 && wait <= 20, message);
            assert.equal(data.code, 'rate_limit_exceeded');
            const exact = data.retry_after_ms / 1000;
            assert.ok(exact <= wait && exact >= wait - 1, `${message}, ${exact}`);
        });
        await check('another tool in the same session after the limit', async () => {
            assert.equal(await call('write_note'), 'written');
        });
    }
    if (!mode.modern) {
        // The client reads its headers anew for each request.
        await check('its session with another key', async () => {
            headers.Authorization = `Bearer ${keys[name === 'full' ? 'writer' : 'full']}`;
            const [error] = await client.listTools().then(
                () => [],
                error => [error],
            );
            assert.ok(error, 'another key may use the session');
            const { status, text } = mode.denial(error);
            assert.equal(status, 404, `${error.name}: ${error.message}`);
            assert.match(text, /session not found/i);
        });
        await check('its session with its own key again', async () => {
            headers.Authorization = `Bearer ${keys[name]}`;
            await toolsAreIts();
        });
    }
    await check('disconnect', () => client.close());
}

export async function run(modes) {
    const [modeName, url, pairs] = process.argv.slice(2);
    const make = modes[modeName];
    if (!make || !pairs) {
        console.error(`usage: ${process.argv[1]} ${Object.keys(modes).join('|')} URL NAME=KEY,…`);
        process.exit(2);
    }
    const keys = Object.fromEntries(pairs.split(',').map(pair => pair.split('=')));
    // The last resort against a hang that no timeout above can end.
    setTimeout(() => {
        console.log('FAILED: still running after 180 s');
        process.exit(1);
    }, 180_000).unref();

    const report = new Report(make().name, Object.values(keys));
    for (const name of Object.keys(TOOLS)) {
        // Every failure is already reported where it happened.
        await session(report, make(), url, keys, name).catch(() => undefined);
    }
    console.log(`${report.passed} passed, ${report.failed} failed`);
    process.exit(report.failed || !report.passed ? 1 : 0);
}
