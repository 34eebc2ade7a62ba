// Walks through the admin page as people do.
//
// Usage: walk.mjs CHROMIUM ADMIN UPSTREAM PICTURES PROFILE SECRETS GATEWAY KEY
//
// GATEWAY is where tools are called, KEY the first admin's key, SECRETS a file for the keys that were
// shown. Prints a line `ok WHAT` or `FAILED WHAT` for everything that was looked at.
import fs from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [program, admin, upstream, pictures, profile, secretsFile, gateway, firstKey] =
  process.argv.slice(2);
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

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

const secrets = [firstKey];

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
  const context = await browser.newContext({
    viewport: { width: 1280, height: 860 },
    permissions: ["clipboard-read", "clipboard-write"],
    ...options,
  });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  page.on("console", (message) => {
    if (/content security|refused to/i.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${admin}/`) && !url.startsWith("data:")) elsewhere.push(url);
  });
  return page;
}

const go = (page, path) => page.goto(admin + path);
const heading = (page) => page.locator("h1").first().innerText();
const press = (page, name) =>
  page.locator("main").getByRole("button", { name, exact: true }).click();
const follow = (page, name) => page.locator("main").getByRole("link", { name, exact: true }).click();

async function signIn(page, key) {
  await go(page, "/sign-in");
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function picture(page, name) {
  await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
}

/** The key that the page shows once. */
async function shownKey(page) {
  const key = await page.locator("#secret").inputValue();
  secrets.push(key);
  return key;
}

/** Opens the folded part of a form. */
async function unfold(page, name) {
  const group = page.locator("details", { has: page.locator("summary", { hasText: name }) }).first();
  if (!(await group.evaluate((details) => details.open))) await group.locator("summary").click();
}

/** Makes a key; `fill` does what goes beyond its name and project. */
async function create(page, name, fill = async () => {}, send = (page) => press(page, "Create key")) {
  await go(page, "/keys/new");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Project names", { exact: true }).fill("notes");
  await fill(page);
  await send(page);
}

async function toKey(page, name) {
  await go(page, `/keys?name=${encodeURIComponent(name)}&status=all`);
  await page.locator("main table").getByRole("link", { name, exact: true }).click();
  return new URL(page.url()).pathname;
}

/** Calls the tool through the gateway; tells the status and what came back. */
async function call(key) {
  const response = await fetch(gateway, {
    method: "POST",
    headers: {
      authorization: `Bearer ${key}`,
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
  return { status: response.status, text, works: response.ok && text.includes("a note") };
}

async function told(page) {
  return page.locator("p.notice").innerText();
}

// --- the walk ---

async function firstSteps(page) {
  await signIn(page, "mcp_sk_nonsense");
  ok("a wrong key is refused", (await page.locator("#key-fault").innerText()).includes("not a valid key"));
  ok("the field is tied to its fault",
    (await page.getByLabel("API key").getAttribute("aria-describedby")) === "key-fault");
  await picture(page, "sign-in-refused");
  await signIn(page, firstKey);
  ok("the first admin gets in", (await heading(page)) === "Keys");
  const cookies = await page.context().cookies();
  const session = cookies.find((cookie) => cookie.name.endsWith("mcp-keys-session"));
  ok("the session's cookie is for the page alone",
    session?.httpOnly === true && session.sameSite === "Strict");
  ok("no script can read it", (await page.evaluate(() => document.cookie)) === "");
  await page.keyboard.press("Tab");
  ok("the first stop of the keyboard leads past the navigation",
    (await page.evaluate(() => document.activeElement.textContent)) === "Skip to content");
  await page.keyboard.press("Enter");
  ok("and it works", (await page.evaluate(() => document.activeElement.id)) === "content");
}

/** What the browser itself says of where a form comes from. */
async function saysItsOrigin(page) {
  const [request] = await Promise.all([
    page.waitForRequest((request) => request.method() === "POST"),
    press(page, "Create key"),
  ]);
  const headers = await request.allHeaders();
  ok("the browser names the origin of a form", headers.origin === new URL(admin).origin, headers.origin);
  ok("and says that it is the page's own", headers["sec-fetch-site"] === "same-origin");
}

async function createAndCall(page) {
  await create(page, "agent", async () => {
    await page.getByLabel("Description", { exact: true }).fill("Reads notes");
    await page.getByLabel("Scopes", { exact: true }).fill("notes:read");
    ok("the date is asked for only with a date", !(await page.getByLabel("Date and time").isVisible()));
    await page.getByLabel("Expiry", { exact: true }).selectOption("at");
    ok("then it is", await page.getByLabel("Date and time").isVisible());
    await page.getByLabel("Expiry", { exact: true }).selectOption("30d");
    await picture(page, "new-key");
  }, saysItsOrigin);
  ok("a key is created", (await heading(page)) === "Key created");
  const key = await shownKey(page);
  ok("its address holds nothing of it", !page.url().includes(key.slice(7, 20)));
  await press(page, "Copy");
  await page.locator("#copied", { hasText: "Copied." }).waitFor();
  ok("it is copied", (await page.evaluate(() => navigator.clipboard.readText())) === key);
  await page.locator("#secret").evaluate((field) => { field.value = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX"; });
  await picture(page, "key-created");
  await follow(page, "I have copied it");
  ok("it is not shown again", !(await page.content()).includes(key.slice(-30)));

  const answer = await call(key);
  ok("a tool is called with it", answer.works, `${answer.status} ${answer.text}`);
  return key;
}

async function usage(page) {
  await toKey(page, "agent");
  const recorded = !(await page.content()).includes("Usage is not recorded here");
  if (!recorded) {
    console.log("note: this program records no usage, so its plot is not looked at");
    return;
  }
  for (let tries = 0; tries < 40; tries += 1) {
    if ((await page.locator("svg.plot").count()) > 0) break;
    await page.waitForTimeout(500);
    await page.reload();
  }
  ok("the call appears in the plot", (await page.locator("svg.plot").count()) === 1);
  const section = page.locator("section", { has: page.locator("#usage") });
  ok("under the tool's name", (await section.innerText()).includes("read_note"));
}

async function restrict(page, key) {
  const edit = async (addresses) => {
    await toKey(page, "agent");
    await follow(page, "Edit");
    await unfold(page, "Where it may be used from");
    await page.getByLabel("Allowed addresses", { exact: true }).fill(addresses);
    await press(page, "Save changes");
  };
  await edit("203.0.113.7/24");
  ok("a block that makes no sense is explained",
    (await page.locator("#f-networks_allow-fault").innerText()).includes("203.0.113.0/24"));
  ok("what is wrong is read out first",
    await page.evaluate(() => document.activeElement.classList.contains("summary")));
  await picture(page, "edit-with-faults");
  await page.getByLabel("Allowed addresses", { exact: true }).fill("203.0.113.0/24");
  await press(page, "Save changes");
  ok("the key is restricted", (await told(page)).includes("was changed"));
  const refused = await call(key);
  ok("it is refused from here", refused.status === 403 && refused.text.includes("ip_not_allowed"), refused.text);
  await edit("127.0.0.1\n::1");
  ok("it is let in again where it may be used", (await call(key)).works);
}

async function meanwhile(page) {
  const path = await toKey(page, "agent");
  const other = await page.context().newPage();
  await other.goto(`${admin}${path}/edit`);
  await page.goto(`${admin}${path}/edit`);
  await other.getByLabel("Description", { exact: true }).fill("Reads and counts notes");
  await press(other, "Save changes");
  await other.close();
  await page.bringToFront();
  await page.getByLabel("Description", { exact: true }).fill("Mine");
  await press(page, "Save changes");
  ok("a change meanwhile is told", (await page.locator("#conflict").innerText()).includes("Reads and counts notes"));
  ok("and nothing typed is lost", (await page.getByLabel("Description", { exact: true }).inputValue()) === "Mine");
  await picture(page, "changed-meanwhile");
  await press(page, "Save changes");
  ok("it can be saved after all", (await told(page)).includes("was changed"));
}

async function renew(page, old) {
  await toKey(page, "agent");
  await follow(page, "Renew");
  await page.getByLabel("The old secret", { exact: true }).selectOption("1d");
  await press(page, "Renew");
  const key = await shownKey(page);
  ok("the old and the new secret work", (await call(old)).works && (await call(key)).works);
  await follow(page, "I have copied it");
  await picture(page, "renewed");
  await press(page, "End the old secret now");
  ok("the old secret is ended", (await call(old)).status === 401 && (await call(key)).works);
  return key;
}

async function switchOff(page, key) {
  await toKey(page, "agent");
  await press(page, "Disable");
  const off = await call(key);
  ok("a disabled key is refused", off.status === 401 && off.text.includes("disabled_api_key"), off.text);
  await press(page, "Enable");
  ok("and works again", (await call(key)).works);
}

async function sessionsDie(page) {
  await create(page, "second admin", async () => {
    await page.getByLabel("Owner", { exact: true }).fill("ada");
    await page.getByLabel("All, those that are added later included").check();
    await page.getByLabel("Scopes", { exact: true }).fill("*");
  });
  const key = await shownKey(page);
  const other = await open();
  await signIn(other, key);
  ok("another key signs in too", (await heading(other)) === "Keys");
  await toKey(page, "second admin");
  await follow(page, "Revoke");
  await page.getByLabel("Reason (optional)").fill("a laptop was lost");
  await press(page, "Revoke");
  await go(other, "/keys");
  ok("a revoked key is signed out", new URL(other.url()).pathname === "/sign-in");
  ok("and is told why", (await told(other)).includes("no longer valid"));
  await other.context().close();
}

async function revoke(page, key) {
  await toKey(page, "agent");
  await follow(page, "Revoke");
  await press(page, "Revoke");
  ok("a revoked key does not get in", (await call(key)).status === 401);
  await go(page, "/audit");
  const row = page.locator("tbody tr", { hasText: "agent" }).first();
  const text = await row.innerText();
  ok("the trail tells who did it, and from where", /revoked/.test(text) && /ada/.test(text) && /127\.0\.0\.1/.test(text), text);
  await row.locator("summary").click();
  ok("and what changed", (await row.innerText()).includes("status"));
}

/** What came of calling with the revoked key. */
async function alerts(page) {
  const row = page.locator("main tbody tr", { hasText: "Revoked key used" }).first();
  for (let tries = 0; tries < 60; tries += 1) {
    await go(page, "/alerts");
    if ((await row.count()) > 0) break;
    await page.waitForTimeout(500);
  }
  ok("the alert is seen on the page", (await row.count()) > 0 && (await row.innerText()).includes("agent"));
  ok("it is open", (await row.innerText()).includes("Open"));
  const link = page.locator("nav a", { hasText: "Alerts" });
  ok("and counted where it is linked", /[1-9]/.test(await link.innerText()), await link.innerText());
  await picture(page, "alerts");
  await toKey(page, "agent");
  const section = page.locator("section", { has: page.locator("#alerts") });
  ok("the key's page shows it", (await section.innerText()).includes("Presented from 127.0.0.1 although it is revoked"),
    await section.innerText());
  await section.getByRole("button", { name: /^Acknowledge/ }).click();
  ok("it is acknowledged", (await told(page)).includes("seen to the alert"));
  await go(page, "/alerts");
  ok("and who has seen to it is told", (await row.innerText()).includes("ada"), await row.innerText());
}

/** When, from where and how the key was last used. */
async function lastUse(page) {
  const facts = page.locator("dl.facts").first();
  for (let tries = 0; tries < 40; tries += 1) {
    await toKey(page, "agent");
    if ((await facts.innerText()).includes("bearer token")) break;
    await page.waitForTimeout(500);
  }
  const text = await facts.innerText();
  ok("the last use tells from where and how",
    /from 127\.0\.0\.1, as a bearer token, with its secret number 1/.test(text), text);
}

async function member(page) {
  await go(page, "/owners/edit");
  await page.getByLabel("Name", { exact: true }).fill("bob");
  await page.getByLabel("Project names", { exact: true }).fill("notes");
  await page.getByLabel("Scopes", { exact: true }).fill("notes:* keys:read keys:write audit:read plans:read usage:read");
  await press(page, "Create owner");
  ok("an owner is stored", (await told(page)).includes("stored"));
  await create(page, "bob's laptop", async () => {
    await page.getByLabel("Owner", { exact: true }).fill("bob");
    await page.getByLabel("Scopes", { exact: true }).fill("notes:* keys:read keys:write audit:read usage:read");
    await page.getByLabel("Expiry", { exact: true }).selectOption("never");
  });
  const bob = await open();
  await signIn(bob, await shownKey(page));
  ok("a member sees their own keys", (await heading(bob)) === "My keys");
  const names = await bob.locator("tbody th a").allInnerTexts();
  ok("and no others", names.join() === "bob's laptop", names.join());
  ok("nor what is for admins", (await bob.locator("nav a", { hasText: "Owners" }).count()) === 0);
  await picture(bob, "member");

  await create(bob, "too much", async () => bob.getByLabel("Scopes", { exact: true }).fill("*"));
  ok("a member gives no key more than they have", (await bob.locator("#f-scopes-fault").count()) === 1);
  await create(bob, "little", async () => bob.getByLabel("Scopes", { exact: true }).fill("notes:read"));
  ok("but makes keys within it", (await call(await shownKey(bob))).works);

  await toKey(bob, "little");
  await follow(bob, "Edit");
  await bob.getByLabel("Description", { exact: true }).fill("Mine");
  await press(bob, "Save changes");
  ok("and changes them", (await told(bob)).includes("was changed"));

  const foreign = await toKey(page, "first admin");
  await go(bob, "/keys");
  const token = await bob.locator("input[name=token]").first().inputValue();
  const request = bob.context().request;
  for (const act of ["disable", "revoke", "delete", "renew", "edit", "end-grace"]) {
    const answer = await request.post(`${admin}${foreign}/${act}`, {
      form: { token, name: "first admin", grace: "none", revision: "1" },
      maxRedirects: 0,
    });
    ok(`a forged form to ${act} another's key is refused`, answer.status() === 404, String(answer.status()));
  }
  for (const [path, form] of [
    ["/owners/edit", { id: "bob", role: "admin", reach: "all", scopes: "*", access: "full" }],
    ["/owners/suspend", { id: "ada" }],
    ["/plans/edit", { name: "free", limits: "9999/min" }],
  ]) {
    const answer = await request.post(admin + path, { form: { token, ...form }, maxRedirects: 0 });
    ok(`a forged form to ${path} is refused`, answer.status() === 403, String(answer.status()));
  }
  const looked = await bob.goto(admin + foreign);
  ok("another's key is not there", looked.status() === 404);
  return bob;
}

async function fromElsewhere(page) {
  const victim = await toKey(page, "bob's laptop");
  const token = await page.locator("input[name=token]").first().inputValue();
  const request = page.context().request;
  const attempts = [
    ["without a token", {}, {}],
    ["with a wrong token", { token: "0".repeat(64) }, {}],
    ["from a foreign origin", { token }, { origin: "https://evil.test" }],
    ["from another site", { token }, { "sec-fetch-site": "cross-site" }],
  ];
  for (const [what, form, headers] of attempts) {
    const answer = await request.post(`${admin}${victim}/revoke`, { form, headers, maxRedirects: 0 });
    ok(`a form ${what} is refused`, answer.status() === 403, String(answer.status()));
  }
  // A page of somebody else, on another site, in the browser of somebody who has signed in.
  const other = await page.context().newPage();
  const port = new URL(upstream).port;
  const target = encodeURIComponent(`${admin}${victim}/revoke`);
  await other.goto(`http://localhost:${port}/attack?target=${target}`);
  const [answer] = await Promise.all([other.waitForNavigation(), other.click("button")]);
  ok("a form on somebody else's page is refused", answer.status() === 403, String(answer.status()));
  await other.close();
  await go(page, victim);
  ok("and nothing was done", (await page.locator("h1 .badge").innerText()) === "Active");
}

async function withoutScript() {
  const page = await open({ javaScriptEnabled: false });
  await signIn(page, firstKey);
  ok("without script: the table reads", (await page.locator("tbody tr").count()) >= 3);
  await create(page, "by hand");
  ok("without script: the key is there to be copied", /^mcp_sk_/.test(await shownKey(page)));
  ok("without script: no button that does nothing",
    !(await page.getByRole("button", { name: "Copy" }).isVisible()));
  await toKey(page, "by hand");
  await follow(page, "Delete");
  await page.getByLabel("To delete it, type its name").fill("something else");
  await press(page, "Delete for good");
  ok("without script: a wrong name deletes nothing", (await page.locator("#f-name-fault").count()) === 1);
  await page.getByLabel("To delete it, type its name").fill("by hand");
  await press(page, "Delete for good");
  ok("without script: a key is deleted", (await told(page)).includes("is deleted"));
  await picture(page, "without-script");
  await page.context().close();
}

async function everyPage(page) {
  const live = await toKey(page, "bob's laptop");
  const dead = await toKey(page, "agent");
  return [
    ["keys", "/keys"],
    ["keys-none", "/keys?name=nothing"],
    ["key", live],
    ["key-revoked", dead],
    ["key-new", "/keys/new"],
    ["key-edit", `${live}/edit`],
    ["key-renew", `${live}/renew`],
    ["key-revoke", `${live}/revoke`],
    ["key-delete", `${live}/delete`],
    ["connections", "/connections"],
    ["owners", "/owners"],
    ["owner", "/owners/edit?id=bob"],
    ["plans", "/plans"],
    ["plan", "/plans/edit?name=free"],
    ["usage", "/usage"],
    ["alerts", "/alerts"],
    ["alerts-none", "/alerts?rule=spike"],
    ["audit", "/audit"],
    ["safety", "/safety"],
    ["not-found", "/keys/nowhere"],
  ];
}

/** What axe-core finds that would keep somebody out. */
async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations
    .filter((violation) => ["serious", "critical"].includes(violation.impact))
    .map((violation) => `${violation.id} (${violation.nodes.map((node) => node.target).join(", ")})`);
}

async function looks(key, paths) {
  for (const [look, options] of [
    ["light", {}],
    ["dark", { colorScheme: "dark" }],
    ["phone", { viewport: { width: 390, height: 844 } }],
    ["phone-dark", { viewport: { width: 320, height: 640 }, colorScheme: "dark" }],
  ]) {
    const page = await open(options);
    await go(page, "/sign-in");
    const found = [...(await violations(page)).map((text) => `sign-in: ${text}`)];
    const wide = [];
    await picture(page, `${look}-sign-in`);
    await signIn(page, key);
    for (const [name, path] of paths) {
      await go(page, path);
      // Folded parts are looked at as well.
      await page.evaluate(() => {
        for (const details of document.querySelectorAll("main details")) details.open = true;
      });
      found.push(...(await violations(page)).map((text) => `${name}: ${text}`));
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      if (over > 0) wide.push(`${name} by ${over} px`);
      await go(page, path);
      await picture(page, `${look}-${name}`);
    }
    ok(`${look}: nobody is kept out of ${paths.length + 1} pages`, found.length === 0, found.join("; "));
    ok(`${look}: every page fits its width`, wide.length === 0, wide.join(", "));
    await page.context().close();
  }
}

async function signOut(page) {
  await page.getByRole("button", { name: "Sign out" }).click();
  ok("whoever signs out is out", (await told(page)) === "You have signed out.");
  await go(page, "/keys");
  ok("and stays out", new URL(page.url()).pathname === "/sign-in");
}

try {
  const page = await open();
  await firstSteps(page);
  const first = await createAndCall(page);
  await usage(page);
  await lastUse(page);
  await restrict(page, first);
  await meanwhile(page);
  const second = await renew(page, first);
  await switchOff(page, second);
  await sessionsDie(page);
  await revoke(page, second);
  await alerts(page);
  await member(page);
  await fromElsewhere(page);
  await withoutScript();
  await looks(firstKey, await everyPage(page));
  await signOut(page);
  const foreign = elsewhere.filter((url) => !url.startsWith("http://localhost:"));
  ok("nothing was asked of anybody else", foreign.length === 0, foreign.join(" "));
  ok("the browser had nothing to complain of", complaints.length === 0, complaints.join("; "));
} catch (error) {
  ok("the walk comes to its end", false, String(error?.stack ?? error).replaceAll("\n", " | "));
} finally {
  fs.writeFileSync(secretsFile, secrets.map((key) => `${key}\n`).join(""));
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
