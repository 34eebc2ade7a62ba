// The TypeScript SDK 1.x. Usage: node sdk1.mjs URL KEY
import { run } from './checks.mjs';
import { modes } from './modes1.mjs';

await run(Object.values(modes));
