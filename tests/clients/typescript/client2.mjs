// The TypeScript client 2.x. Usage: node client2.mjs URL KEY
import { run } from './checks.mjs';
import { modes } from './modes2.mjs';

await run(Object.values(modes));
