// The checks both TypeScript clients run to connect by OAuth, in the stages that python/oauth.py tells of. Each line of
// output is one check; the last is `N passed, N failed`.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Report, textOf } from './checks.mjs';
import { Person } from './person.mjs';

const CALLBACK = 'http://127.0.0.1:8765/callback';
// The lifetime of access tokens in the first stage, and a moment more.
const ACCESS = Number(process.env.ACCESS_SECONDS ?? 3) * 1000 + 500;
// Within which the gateway has heard of what another process did: it looks every two seconds.
const SOON = 2_500;
// What stands for the right to change things, among the scopes.
const FULL = 'access/full';

/** What the SDK asks of a program: what is kept, in a file, and where people are sent. */
class Provider {
    redirectUrl = CALLBACK;
    clientMetadata = {
        client_name: 'TypeScript checks',
        redirect_uris: [CALLBACK],
    };

    constructor(file, document) {
        this.file = file;
        this.clientMetadataUrl = document;
        this.kept = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
    }

    keep(part) {
        Object.assign(this.kept, part);
        writeFileSync(this.file, JSON.stringify(this.kept));
    }

    state = () => (this.expected = randomUUID());
    clientInformation = () => this.kept.client;
    saveClientInformation = client => this.keep({ client });
    tokens = () => this.kept.tokens;
    saveTokens = tokens => this.keep({ tokens });
    saveCodeVerifier = verifier => this.keep({ verifier });
    codeVerifier = () => this.kept.verifier;
    discoveryState = () => this.kept.discovery;
    saveDiscoveryState = discovery => this.keep({ discovery });
    redirectToAuthorization = url => void (this.destination = url);
    invalidateCredentials(what) {
        if (what === 'all' || what === 'tokens') this.keep({ tokens: undefined });
        if (what === 'all' || what === 'client') this.keep({ client: undefined });
    }
}

/** A program that connects, the person before it, and what was asked of whom. */
class Program {
    asked = [];
    authorized = [];

    /** What the person does: allow or deny, and with which level where the page asks. */
    answer = 'allow';
    access = undefined;

    constructor(make, url, key, provider) {
        Object.assign(this, { make, url, key, provider });
    }

    fetch = (url, init) => {
        const { pathname } = new URL(url);
        const isForm = new Headers(init?.headers).get('content-type')?.startsWith('application/x-www-form-urlencoded');
        const form = isForm ? Object.fromEntries(new URLSearchParams(String(init.body))) : {};
        this.asked.push({ method: init?.method ?? 'GET', path: pathname, form });
        return fetch(url, init);
    };

    count = path => this.asked.filter(asked => asked.path === path).length;
    grants = () => this.asked.filter(({ path }) => path === '/oauth/token').map(({ form }) => form.grant_type);
    forget() {
        this.asked = [];
        this.authorized = [];
    }

    /** The person is sent to the server and comes back. */
    async authorize() {
        const { destination, expected } = this.provider;
        this.authorized.push(Object.fromEntries(destination.searchParams));
        const came = await new Person(this.key).decide(destination, this);
        this.came = Object.fromEntries(came.searchParams);
        assert.equal(this.came.state, expected, 'another state came back');
        await this.session.finish(came.searchParams);
    }

    /** What the SDK leaves to its user: to send the person away, and to try again. */
    async #allowed(act) {
        try {
            return await act();
        } catch (error) {
            if (!this.session.isUnauthorized(error)) throw error;
            await this.authorize();
            return act();
        }
    }

    connect() {
        return this.#allowed(() => {
            this.session = this.make();
            return this.session.connect(this.url, { authProvider: this.provider, fetch: this.fetch });
        });
    }

    call(tool, args = {}) {
        return this.#allowed(async () => textOf(await this.session.callTool(tool, args)));
    }

    /**
     * Does what needs rights that the program does not have yet. Where the SDK sees to them, this is all there is to it.
     *
     * Version 1 does not, whatever it is told. To a 403 with `insufficient_scope` its `send` answers with `auth`, which
     * exchanges the refresh token for new tokens wherever there is one, and has no way to leave that out: the scopes of
     * the challenge, which it has read, are used in a request to the person alone. With the new tokens, which have no
     * more rights than those before, it sends the message again, gets the same challenge, knows it, and gives up. So
     * this is for the program to see to: without its tokens it has to ask the person.
     */
    async stepUp(act, saw) {
        if (this.session?.stepsUp ?? this.make().stepsUp) return act();
        const error = await act().then(
            () => assert.fail('this version was not known to step up by itself'),
            error => error,
        );
        assert.equal(this.session.status(error), 403, firstLine(error));
        assert.equal(this.authorized.length, 0);
        assert.ok(this.grants().every(grant => grant === 'refresh_token'), this.grants().join());
        saw(`token requests [${this.grants()}], then ${firstLine(error)}; the program drops its tokens`);
        this.provider.invalidateCredentials('tokens');
        await this.close().catch(() => undefined);
        await this.connect();
        return act();
    }

    async who() {
        return JSON.parse(await this.call('whoami'));
    }

    close = () => this.session.client.close();
}

/** What was written, by the word of the server behind the gateway. */
const notes = async () => (await fetch(process.env.NOTES)).json();
const words = text => new Set((text ?? '').split(' ').filter(Boolean));
const firstLine = error => `${error?.name}: ${error?.message}`.split('\n')[0].slice(0, 160);

async function first({ check, saw }, program, { url }) {
    const { kept } = program.provider;
    const { pathname, origin } = new URL(url);
    await check('connect', async () => {
        program.protocol = await program.connect();
    });
    await check('discovery and registration', () => {
        for (const path of [
            `/.well-known/oauth-protected-resource${pathname}`,
            '/.well-known/oauth-authorization-server',
        ]) {
            assert.equal(program.count(path), 1, `${path}: ${JSON.stringify(program.asked)}`);
        }
        assert.equal(program.count('/oauth/register'), program.provider.clientMetadataUrl ? 0 : 1);
    });
    await check('authorization', () => {
        assert.equal(program.authorized.length, 1);
        const [asked] = program.authorized;
        assert.equal(asked.resource, url);
        if (program.provider.clientMetadataUrl) assert.equal(asked.client_id, program.provider.clientMetadataUrl);
        assert.equal(asked.code_challenge_method, 'S256');
        assert.ok(asked.scope, JSON.stringify(asked));
        assert.equal(program.came.iss, origin);
        assert.deepEqual(program.grants(), ['authorization_code']);
        assert.ok(kept.tokens.refresh_token && kept.tokens.expires_in);
        saw(`speaks ${program.protocol}, asks for '${asked.scope}', gets '${kept.tokens.scope}'`);
    });
    const me = await check('tool call', async () => {
        assert.equal(await program.call('echo', { message: 'héllo' }), 'héllo');
        const me = await program.who();
        assert.deepEqual(words(me.scopes), words(kept.tokens.scope));
        return me;
    });
    for (const what of ['refresh', 'refresh again']) {
        await check(what, async () => {
            const before = kept.tokens;
            await sleep(ACCESS);
            program.forget();
            assert.equal((await program.who()).id, me.id, 'another key after the refresh');
            assert.deepEqual(program.grants(), ['refresh_token']);
            assert.equal(program.authorized.length, 0);
            assert.notEqual(kept.tokens.access_token, before.access_token);
            assert.notEqual(kept.tokens.refresh_token, before.refresh_token);
        });
    }
    await check('end', program.close);
}

async function comesBack({ check, saw }, program) {
    await check('connect with a token that has ended', async () => {
        await program.connect();
        await program.who();
    });
    saw(`token requests [${program.grants()}], authorizations ${program.authorized.length}`);
    await check('end', program.close);
}

async function more({ check, saw }, program) {
    const before = words(program.provider.kept.tokens.scope);
    await check('step-up', async () => {
        await program.stepUp(() => program.connect(), saw);
        assert.equal(program.authorized.length, 1, JSON.stringify(program.authorized));
        const asked = words(program.authorized[0].scope);
        assert.ok(asked.size > before.size && [...before].every(scope => asked.has(scope)), [...asked].join());
        assert.equal(program.count('/oauth/register'), 0, 'registered again');
        assert.deepEqual(words(program.provider.kept.tokens.scope), asked);
        assert.deepEqual(words((await program.who()).scopes), asked);
    });
    saw(`asks for '${program.authorized[0].scope}'`);
    await check('end', program.close);
}

async function rights({ check, saw }, program) {
    const { kept } = program.provider;
    const [refused, allowed] = [`refused ${randomUUID()}`, `allowed ${randomUUID()}`];
    const me = await check('connect', async () => {
        program.access = 'read';
        await program.connect();
        return program.who();
    });
    const held = words(kept.tokens.scope);
    await check('a connection that reads does not run a tool that writes', async () => {
        program.forget();
        const error = await program.call('write_note', { message: refused }).then(
            answer => assert.fail(`the call was answered: ${answer}`),
            error => error,
        );
        assert.ok(!(error instanceof assert.AssertionError), firstLine(error));
        assert.ok(!(await notes()).includes(refused), 'the tool was run');
        // The person was asked for it, at most once, and let the program read only again.
        const asked = program.authorized.map(({ scope }) => words(scope));
        assert.ok(asked.length <= 1 && asked.every(scopes => scopes.has(FULL)), JSON.stringify(program.authorized));
        assert.deepEqual(words(kept.tokens.scope), held);
        saw(`token requests [${program.grants()}], authorizations ${asked.length}, then ${firstLine(error)}`);
    });
    await check('step-up to full access', async () => {
        program.forget();
        program.access = 'full';
        const answer = await program.stepUp(() => program.call('write_note', { message: allowed }), saw);
        assert.equal(answer, `noted ${allowed.length} characters`);
        assert.equal((await notes()).filter(note => note === allowed).length, 1, 'the tool was not run once');
        assert.equal(program.authorized.length, 1, JSON.stringify(program.authorized));
        assert.equal(program.count('/oauth/register'), 0, 'registered again');
        // Only what a program has asked for is told to it. Version 1 connects anew as if for the first time.
        assert.equal(words(kept.tokens.scope).has(FULL), program.session.stepsUp, kept.tokens.scope);
    });
    const after = await program.who();
    saw(`is ${after.id === me.id ? 'the same' : 'another'} connection afterwards`);
    await check('end', program.close);
}

async function cut({ check, saw }, program, { origin }) {
    const { kept } = program.provider;
    await check('connect', () => program.connect());
    const me = await program.who();
    const { client } = kept;
    const { refresh_token } = kept.tokens;
    await check('disconnected', async () => {
        const [disconnect, ...args] = process.env.DISCONNECT.split(' ');
        await promisify(execFile)(disconnect, [...args, me.id]);
        // That was another process, of which the gateway hears when it looks for changes next. (The Python clients are
        // disconnected by the gateway itself, and call at once.)
        await sleep(SOON);
        program.forget();
        program.answer = 'deny';
        const error = await program.call('echo', { message: 'hello' }).then(
            answer => assert.fail(`the call was answered: ${answer}`),
            error => error,
        );
        assert.equal(program.came.error, 'access_denied', firstLine(error));
        saw(`token requests [${program.grants()}], then ${firstLine(error)}`);
    });
    await check('its tokens are of no use', async () => {
        const answer = await fetch(`${origin}/oauth/token`, {
            method: 'POST',
            body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token, client_id: client.client_id }),
        });
        assert.equal(answer.status, 400);
        assert.equal((await answer.json()).error, 'invalid_grant');
    });
}

const STAGES = { first, return: comesBack, more, rights, cut };

/** `modes` holds functions, each of which makes a session of one kind: see oauth1.mjs and oauth2.mjs. */
export async function run(modes) {
    const [stage, mode, file, url, key] = process.argv.slice(2);
    if (!key || !STAGES[stage] || !modes[mode]) {
        console.error(`usage: ${process.argv[1]} STAGE MODE STATE URL KEY`);
        process.exit(2);
    }
    // The last resort against a hang that no timeout above can end.
    setTimeout(() => {
        console.log('FAILED: still running after 180 s');
        process.exit(1);
    }, 180_000).unref();
    const make = modes[mode];
    const report = new Report(make().name, [key]);
    const steps = {
        check: (what, body) => report.check(stage, what, body),
        // What is told, and not judged: clients differ in it.
        saw: what => console.log(`   ${report.client} ${stage}: ${what}`),
    };
    const program = new Program(make, url, key, new Provider(file, process.env.DOCUMENT));
    // Every failure is already reported where it happened.
    await STAGES[stage](steps, program, { url, origin: new URL(url).origin }).catch(() => undefined);
    console.log(`${report.passed} passed, ${report.failed} failed`);
    process.exit(report.failed || !report.passed ? 1 : 0);
}
