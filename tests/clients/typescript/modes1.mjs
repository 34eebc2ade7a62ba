// How the checks use the TypeScript SDK 1.x.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport, StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpError } from '@modelcontextprotocol/sdk/types.js';
import { versionOf } from './checks.mjs';

const version = versionOf('@modelcontextprotocol/sdk');

export const modes = {
    default: () => {
        const client = new Client({ name: 'checks', version: '1' });
        return {
            name: `typescript-sdk-${version}`,
            modern: false,
            client,
            async connect(url, headers) {
                const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
                await client.connect(transport);
                return transport.protocolVersion;
            },
            callTool: (name, args, options) => client.callTool({ name, arguments: args }, undefined, options),
            // The body is part of the message.
            denial: error =>
                error instanceof StreamableHTTPError ? { status: error.code, text: error.message } : { text: '' },
            isAnswer: error => error instanceof McpError,
        };
    },
};
