// The TypeScript client 2.x, connecting by OAuth. Usage: node oauth2.mjs STAGE MODE STATE URL KEY
import { Client, SdkHttpError, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { versionOf } from './checks.mjs';
import { run } from './oauth.mjs';

const version = versionOf('@modelcontextprotocol/client');

const mode = (name, options) => () => {
    const client = new Client({ name: 'checks', version: '1' }, options);
    let transport;
    return {
        name: `typescript-client-${version}-${name}`,
        client,
        stepsUp: true,
        async connect(url, options) {
            transport = new StreamableHTTPClientTransport(new URL(url), options);
            await client.connect(transport);
            return client.getNegotiatedProtocolVersion();
        },
        finish: params => transport.finishAuth(params),
        callTool: (name, args) => client.callTool({ name, arguments: args }),
        isUnauthorized: error => error instanceof UnauthorizedError,
        status: error => (error instanceof SdkHttpError ? error.data.status : undefined),
    };
};

await run({
    default: mode('default', {}),
    auto: mode('auto', { versionNegotiation: { mode: 'auto' } }),
});
