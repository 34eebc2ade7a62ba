// The TypeScript client 2.x against keys with different tools. Usage: node tools2.mjs MODE URL KEYS
import { modes } from './modes2.mjs';
import { run } from './tools.mjs';

await run(modes);
