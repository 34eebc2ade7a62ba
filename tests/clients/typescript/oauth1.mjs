// The TypeScript SDK 1.x, connecting by OAuth. Usage: node oauth1.mjs STAGE MODE STATE URL KEY
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport, StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { versionOf } from './checks.mjs';
import { run } from './oauth.mjs';

const name = `typescript-sdk-${versionOf('@modelcontextprotocol/sdk')}`;

await run({
    default: () => {
        const client = new Client({ name: 'checks', version: '1' });
        let transport;
        return {
            name,
            client,
            stepsUp: false,
            async connect(url, options) {
                transport = new StreamableHTTPClientTransport(new URL(url), options);
                await client.connect(transport);
                return transport.protocolVersion;
            },
            // What came back other than a code is for the program to read.
            finish(params) {
                if (params.has('error')) throw new Error(params.get('error'));
                return transport.finishAuth(params.get('code'));
            },
            callTool: (name, args) => client.callTool({ name, arguments: args }),
            isUnauthorized: error => error instanceof UnauthorizedError,
            status: error => (error instanceof StreamableHTTPError ? error.code : undefined),
        };
    },
});
