// The TypeScript client 2.x, as it is by default and with the stateless protocol. Usage: node client2.mjs URL KEY
import { Client, SdkHttpError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { run, versionOf } from './checks.mjs';

const version = versionOf('@modelcontextprotocol/client');

const mode = (name, modern, options) => () => {
    const client = new Client({ name: 'checks', version: '1' }, options);
    return {
        name: `typescript-client-${version}-${name}`,
        modern,
        client,
        async connect(url, headers) {
            await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
            return client.getNegotiatedProtocolVersion();
        },
        callTool: (name, args, options) => client.callTool({ name, arguments: args }, options),
        denial: error =>
            error instanceof SdkHttpError ? { status: error.data.status, text: error.data.text ?? '' } : { text: '' },
    };
};

await run([mode('default', false, {}), mode('auto', true, { versionNegotiation: { mode: 'auto' } })]);
