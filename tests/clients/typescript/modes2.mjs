// How the checks use the TypeScript client 2.x, as it is by default and with the stateless protocol.
import { Client, ProtocolError, SdkHttpError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { versionOf } from './checks.mjs';

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
        isAnswer: error => error instanceof ProtocolError,
    };
};

export const modes = {
    default: mode('default', false, {}),
    auto: mode('auto', true, { versionNegotiation: { mode: 'auto' } }),
};
