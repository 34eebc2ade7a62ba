// Compares runs of the conformance suite, scenario by scenario.
//
// Usage: node compare.mjs SCENARIOS RESULTS [SECRET…]
//
// SCENARIOS is a file with what `conformance list` prints. RESULTS is a folder with the folders
// `bare`, `layered` and perhaps `restricted`, as the suite wrote them. A SECRET is not to be shown. A
// scenario is ok if it ran each time, no check failed, and every check came out the same each time.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [, , list, results, ...secrets] = process.argv;
const titles = { bare: '', layered: 'through the layers ', restricted: 'with rules ' };
const places = Object.keys(titles).filter((place) => place !== 'restricted' || existsSync(join(results, place)));

const scenarios = readFileSync(list, 'utf8')
    .split('\n')
    .map((line) => /^ {2}- (\S+)/.exec(line)?.[1])
    .filter((name) => name !== undefined);

// The suite names a folder after the scenario and the time.
const folder = (scenario, name) =>
    name.startsWith(`server-${scenario}-`) && /^\d{4}-\d\d-\d\dT/.test(name.slice(`server-${scenario}-`.length));

function checksOf(place, scenario) {
    try {
        const [name] = readdirSync(join(results, place)).filter((name) => folder(scenario, name));
        return JSON.parse(readFileSync(join(results, place, name, 'checks.json'), 'utf8'));
    } catch {
        return null; // It did not run to its end.
    }
}

// What is only told for information depends on how the bytes arrived.
const judged = (checks) => checks.filter((check) => check.status !== 'INFO');
const verdict = (check) => `${check.id} (${check.name}) ${check.status}`;
const outcome = (checks) => judged(checks).map(verdict).sort().join('\n');
const shown = (text) => secrets.reduce((text, secret) => text.replaceAll(secret, '…'), text);
const row = (texts) => places.map((place, number) => titles[place] + texts[number]).join(', ');

const totals = Object.fromEntries(places.map((place) => [place, {}]));

for (const scenario of scenarios) {
    const runs = places.map((place) => checksOf(place, scenario));
    const problems = [];
    const counts = [];
    for (const [number, checks] of runs.entries()) {
        const place = places[number];
        if (!checks || judged(checks).length === 0) {
            problems.push(`${place}: no result`);
            counts.push('none');
            continue;
        }
        const count = {};
        for (const check of judged(checks)) {
            count[check.status] = (count[check.status] ?? 0) + 1;
            totals[place][check.status] = (totals[place][check.status] ?? 0) + 1;
            if (check.status !== 'SUCCESS') {
                problems.push(`${place}: ${verdict(check)}: ${check.errorMessage ?? 'no reason given'}`);
            }
        }
        counts.push(summary(count));
    }
    const same = runs.every((checks) => checks && outcome(checks) === outcome(runs[0] ?? []));
    const failed = runs.some((checks) => !checks || judged(checks).length === 0 || checks.some((check) => check.status === 'FAILURE'));
    console.log(`${same && !failed ? 'ok' : 'FAILED'} ${scenario}: ${row(counts)}`);
    for (const problem of problems) {
        console.log(`    ${shown(problem)}`);
    }
}

function summary(count) {
    const words = { SUCCESS: 'passed', FAILURE: 'failed', WARNING: 'warnings', SKIPPED: 'skipped' };
    const parts = Object.entries(words).filter(([status]) => count[status]);
    return parts.map(([status, word]) => `${count[status]} ${word}`).join(' ') || 'none';
}

console.log(`${scenarios.length} scenarios, checks: ${row(places.map((place) => summary(totals[place])))}`);
