// The TypeScript SDK 1.x against keys with different tools. Usage: node tools1.mjs MODE URL KEYS
import { modes } from './modes1.mjs';
import { run } from './tools.mjs';

await run(modes);
