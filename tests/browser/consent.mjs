// Connects a program through the pages where people sign in and consent, as they do.
//
// Usage: consent.mjs CHROMIUM UPSTREAM PICTURES PROFILE SECRETS GATEWAY KEY
//
// GATEWAY is the MCP server that is connected to, KEY the first admin's key, UPSTREAM has pages of somebody
// else, SECRETS is a file for what was given out. Prints a line `ok WHAT` or `FAILED WHAT` for everything
// that was looked at.
import crypto from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [program, upstream, pictures, profile, secretsFile, gateway, key] = process.argv.slice(2);
const origin = new URL(gateway).origin;
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
// Names can hold anything.
const NAME = "Notes <b>helper</b>";

let passed = 0;
let failed = 0;

function ok(what, holds, why = "") {
  if (holds) {
    passed += 1;
    console.log(`ok ${what}`);
  } else {
    failed += 1;
    console.log(`FAILED ${what}${why === "" ? "" : `: ${why}`}`);
  }
}

const secrets = [key];

// --- the program that is connected ---

/** What came back to the program, each as parameters. */
const came = [];
const party = http.createServer((request, response) => {
  const url = new URL(request.url, "http://program");
  if (url.pathname === "/callback") came.push(Object.fromEntries(url.searchParams));
  response.setHeader("content-type", "text/html");
  response.end("<title>Back</title><p>You can close this page.");
});
await new Promise((resolve) => party.listen(0, "127.0.0.1", resolve));
const callback = `http://127.0.0.1:${party.address().port}/callback`;

const registered = await fetch(`${origin}/oauth/register`, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ client_name: NAME, redirect_uris: [callback], token_endpoint_auth_method: "none" }),
});
const client = await registered.json();

/** A new request for a connection: where the person is sent, and what belongs to it. */
function request(scope = "notes:read") {
  const verifier = crypto.randomBytes(32).toString("base64url");
  const state = crypto.randomUUID();
  const parameters = new URLSearchParams({
    response_type: "code",
    client_id: client.client_id,
    redirect_uri: callback,
    state,
    scope,
    resource: gateway,
    code_challenge: crypto.createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  });
  return { url: `${origin}/oauth/authorize?${parameters}`, verifier, state };
}

async function redeem({ code }, { verifier }) {
  const answer = await fetch(`${origin}/oauth/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code",
      code,
      code_verifier: verifier,
      client_id: client.client_id,
      redirect_uri: callback,
      resource: gateway,
    }),
  });
  const tokens = await answer.json();
  for (const token of [tokens.access_token, tokens.refresh_token]) if (token) secrets.push(token);
  return tokens;
}

/** Calls the tool, with the name of the one who does. */
async function call(token) {
  const response = await fetch(gateway, {
    method: "POST",
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
    },
    body: JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name: "read_note", arguments: {} },
    }),
  });
  const text = await response.text();
  return { text, works: response.ok && text.includes("a note") };
}

// --- the browser ---

const browser = await chromium.launch({
  executablePath: program,
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    `--crash-dumps-dir=${profile}`,
  ],
});

const complaints = [];
const elsewhere = [];

/** A new window, whose requests and complaints are noted. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  page.on("console", (message) => {
    if (/content security|refused to/i.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const url = request.url();
    const ours = [origin, new URL(callback).origin].some((one) => url.startsWith(`${one}/`));
    if (!ours && !url.startsWith("data:")) elsewhere.push(url);
  });
  return page;
}

const picture = (page, name) => page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const heading = (page) => page.locator("h1").first().innerText();

async function signIn(page, key) {
  await page.locator("input[type=password]").fill(key);
  await page.locator("form", { has: page.locator("input[type=password]") }).locator("button").click();
}

/** What axe-core finds that would keep somebody out, and what does not fit the width. */
async function faults(page, what) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const texts = found.violations
    .filter((violation) => ["serious", "critical"].includes(violation.impact))
    .map((violation) => `${what}: ${violation.id} (${violation.nodes.map((node) => node.target).join(", ")})`);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (over > 0) texts.push(`${what}: too wide by ${over} px`);
  return texts;
}

// --- the walk ---

async function connects(page) {
  const asked = request();
  await page.goto(asked.url);
  ok("whoever has not signed in is asked to", (await page.locator("input[type=password]").count()) === 1);
  await signIn(page, "mcp_sk_nonsense");
  ok("a wrong key is refused", (await page.locator("input[type=password]").count()) === 1 && came.length === 0);
  await picture(page, "connect-sign-in-refused");
  await signIn(page, key);
  const text = await page.locator("body").innerText();
  ok("then they are asked for their consent", (await heading(page)).startsWith("Connect"), await heading(page));
  for (const [what, part] of [
    ["who asks", NAME],
    ["for which server", gateway],
    ["for which rights", "notes:read"],
    ["where the answer goes", "127.0.0.1"],
    ["who is asked", "ada"],
  ]) {
    ok(`the page says ${what}`, text.includes(part), text.replaceAll("\n", " | "));
  }
  ok("a name is text and nothing more", (await page.locator("b", { hasText: "helper" }).count()) === 0);
  const [session] = await page.context().cookies(origin);
  ok("the session's cookie is not for scripts, nor for other sites",
    session?.httpOnly === true && ["Lax", "Strict"].includes(session.sameSite));
  await picture(page, "connect-consent");

  await press(page, "Allow");
  await page.waitForURL(`${callback}?**`);
  const [answer] = came;
  ok("who allows is sent back to the program", answer?.code !== undefined, JSON.stringify(answer));
  ok("with its state, and the name of the server", answer.state === asked.state && answer.iss === origin);
  const tokens = await redeem(answer, asked);
  ok("the program gets its token", tokens.token_type === "Bearer" && tokens.scope === "notes:read",
    Object.keys(tokens).join());
  const called = await call(tokens.access_token);
  ok("and calls a tool", called.works, called.text);
  const reused = await redeem(answer, asked);
  ok("a code is good once", reused.error === "invalid_grant", reused.error);
}

async function denies(page) {
  const asked = request();
  came.length = 0;
  await page.goto(asked.url);
  ok("whoever has signed in is not asked for the key again", (await heading(page)).startsWith("Connect"));
  await press(page, "Deny");
  await page.waitForURL(`${callback}?**`);
  const [answer] = came;
  ok("who denies is sent back without a code",
    answer.error === "access_denied" && answer.code === undefined && answer.state === asked.state,
    JSON.stringify(answer));
}

/** A program that asks for the right to change things: nothing is chosen for the person, who has to choose. */
async function asksForMore(page) {
  const scope = "notes:read access/full";
  came.length = 0;
  const asked = request(scope);
  await page.goto(asked.url);
  const chosen = () => page.locator("input[name=access]:checked").count();
  ok("what a program asks for is not chosen for the person", (await chosen()) === 0);
  const found = await faults(page, "full access");
  ok("the choice keeps nobody out", found.length === 0, found.join("; "));
  await picture(page, "connect-full-access");
  await page.getByRole("button", { name: "Allow" }).click();
  await page.waitForTimeout(300);
  ok("to allow they have to choose", page.url() === asked.url && came.length === 0, page.url());
  await page.getByLabel("Look and change").check();
  await press(page, "Allow");
  await page.waitForURL(`${callback}?**`);
  const tokens = await redeem(came[0], asked);
  ok("who chooses full access grants it", tokens.scope === scope, tokens.scope);
  came.length = 0;
  const again = request(scope);
  await page.goto(again.url);
  await press(page, "Deny");
  await page.waitForURL(`${callback}?**`);
  ok("to deny they need not choose", came[0]?.error === "access_denied", JSON.stringify(came[0]));
}

async function byKeyboard(page) {
  came.length = 0;
  await page.goto(request().url);
  let reached = "";
  for (let stop = 0; stop < 20 && reached !== "Deny"; stop++) {
    await page.keyboard.press("Tab");
    reached = await page.evaluate(() => document.activeElement.innerText?.trim());
  }
  ok("the keyboard reaches what there is to press", reached === "Deny", reached);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${callback}?**`);
  ok("and presses it", came[0]?.error === "access_denied", JSON.stringify(came[0]));
}

/** Pages of somebody else, in the browser of somebody who has signed in: on another site, and on this one. */
async function fromElsewhere(page) {
  const port = new URL(upstream).port;
  came.length = 0;
  for (const host of ["localhost", "127.0.0.1"]) {
    const other = await page.context().newPage();
    const target = encodeURIComponent(request().url);
    await other.goto(`http://${host}:${port}/frame?target=${target}`);
    const frame = other.frames().find((frame) => frame !== other.mainFrame());
    await frame.waitForLoadState().catch(() => undefined);
    const shown = await frame.locator("button").count().catch(() => 0);
    ok(`it is not shown in a frame of ${host}`, shown === 0 && !frame.url().startsWith(origin), frame.url());
    await other.goto(`http://${host}:${port}/attack?target=${target}`);
    const [answer] = await Promise.all([other.waitForNavigation(), other.click("button")]);
    ok(`a form of ${host} is refused`, answer.status() >= 400, `${answer.status()} ${answer.url()}`);
    await other.close();
  }
  const asked = request();
  await page.goto(asked.url);
  const hidden = await page.locator("form input[type=hidden]").evaluateAll((fields) =>
    Object.fromEntries(fields.map((field) => [field.name, field.value])));
  const action = await page.locator("form", { has: page.getByRole("button", { name: "Allow" }) }).getAttribute("action");
  const send = (form, headers = {}) =>
    page.context().request.post(new URL(action, asked.url).href, {
      form: { decision: "allow", access: "read-only", ...form },
      headers: { origin, ...headers },
      maxRedirects: 0,
    });
  for (const [what, form, headers] of [
    ["without what the page hides in it", {}, {}],
    ["with something else in its place", Object.fromEntries(Object.keys(hidden).map((name) => [name, "x"])), {}],
    ["of a foreign origin", hidden, { origin: "https://evil.test" }],
    ["of another site", hidden, { "sec-fetch-site": "cross-site" }],
  ]) {
    const answer = await send(form, headers);
    const sentBack = (answer.headers().location ?? "").includes("code=");
    ok(`a form ${what} is refused`, answer.status() >= 400 && !sentBack, String(answer.status()));
  }
  ok("and nobody got a code by any of it", came.length === 0, JSON.stringify(came));
}

async function wrongRequests(page) {
  came.length = 0;
  const url = new URL(request().url);
  url.searchParams.set("redirect_uri", `http://localhost:${new URL(upstream).port}/stolen`);
  const answer = await page.goto(url.href);
  ok("nobody is sent to where the program did not register",
    answer.status() >= 400 && page.url().startsWith(origin), page.url());
  ok("but told so", (await page.locator("h1").count()) === 1);
  await picture(page, "connect-wrong");
  return faults(page, "wrong");
}

async function withoutScript() {
  const page = await open({ javaScriptEnabled: false });
  came.length = 0;
  const asked = request();
  await page.goto(asked.url);
  await signIn(page, key);
  await press(page, "Allow");
  await page.waitForURL(`${callback}?**`);
  ok("it works without script", (await redeem(came[0], asked)).access_token !== undefined);
  await page.context().close();
}

async function looks() {
  for (const [look, options] of [
    ["light", {}],
    ["dark", { colorScheme: "dark" }],
    ["phone", { viewport: { width: 390, height: 844 } }],
    ["phone-dark", { viewport: { width: 320, height: 640 }, colorScheme: "dark" }],
  ]) {
    const page = await open(options);
    await page.goto(request().url);
    const found = await faults(page, "sign-in");
    await picture(page, `connect-${look}-sign-in`);
    await signIn(page, key);
    found.push(...(await faults(page, "consent")));
    await picture(page, `connect-${look}-consent`);
    ok(`${look}: nobody is kept out, and all fits`, found.length === 0, found.join("; "));
    await page.context().close();
  }
}

try {
  const page = await open();
  await connects(page);
  await denies(page);
  await asksForMore(page);
  await byKeyboard(page);
  const wrong = await wrongRequests(page);
  ok("the page of a wrong request keeps nobody out", wrong.length === 0, wrong.join("; "));
  ok("the browser had nothing to complain of", complaints.length === 0, complaints.join("; "));
  ok("nothing was asked of anybody else", elsewhere.length === 0, elsewhere.join(" "));
  await fromElsewhere(page);
  await withoutScript();
  await looks();
} catch (error) {
  ok("the walk comes to its end", false, String(error?.stack ?? error).replaceAll("\n", " | "));
} finally {
  fs.writeFileSync(secretsFile, secrets.map((key) => `${key}\n`).join(""));
  await browser.close();
  party.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
