// Tells what the suite's `authorization` command found.
//
// Usage: node authorization.mjs NAME RESULTS
//
// RESULTS is the folder that the suite wrote. A scenario is ok if it ran and no check failed, other than
// those that are explained here; and each of these has to be there, so that the list does not grow old.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const SCENARIOS = ['authorization-server-metadata-endpoint', 'authorization-code-grant'];

// Check id: why it fails. There is none.
const EXPLAINED = {};

const [, , name, results] = process.argv;
const folders = readdirSync(results);
const seen = new Set();

for (const scenario of SCENARIOS) {
    const folder = folders.find((folder) => folder.includes(scenario));
    const checks = folder === undefined ? [] : JSON.parse(readFileSync(join(results, folder, 'checks.json'), 'utf8'));
    const count = (status) => checks.filter((check) => check.status === status).length;
    const wrong = checks.filter(({ id, status }) => status === 'FAILURE' && !(id in EXPLAINED));
    for (const { id, status } of checks) if (status === 'FAILURE') seen.add(id);
    // What was skipped has shown nothing.
    const right = wrong.length === 0 && count('SUCCESS') > 0 && count('SKIPPED') === 0;
    console.log(
        `${right ? 'ok' : 'FAILED'} ${name} ${scenario}: ${count('SUCCESS')} passed, ${count('FAILURE')} failed, ` +
            `${count('WARNING')} warnings, ${count('SKIPPED')} skipped`,
    );
    for (const { id, status, errorMessage } of checks) {
        if (status !== 'SUCCESS') console.log(`    ${id} ${status}: ${EXPLAINED[id] ?? errorMessage ?? 'no reason given'}`);
    }
}
for (const id of Object.keys(EXPLAINED)) {
    if (!seen.has(id)) console.log(`FAILED ${name} ${id}: is explained, and did not fail`);
}
