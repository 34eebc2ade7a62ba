// Plays the person at the browser: signs in with a key, and allows or denies what a program asks for.
// It knows no more of the pages than what stands in their forms.
//
// Usage: PERSON_KEY=KEY node person.mjs URL [allow|deny] [ACCESS]
//
// Prints the URL that the browser is sent back to the program with; ACCESS is what is chosen where the
// page asks (read or full).
import http from 'node:http';
import { fileURLToPath } from 'node:url';

const ENTITIES = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&#x27;': "'" };
const MOST_STEPS = 10;

const decoded = text => text.replace(/&(?:amp|lt|gt|quot|#39|#x27);/g, entity => ENTITIES[entity]);
const textOf = html => decoded(html.replace(/<[^>]*>/g, ' ')).replace(/\s+/g, ' ').trim();

function attributesOf(tag) {
    const attributes = {};
    for (const [, name, value] of tag.matchAll(/([a-zA-Z-]+)(?:="([^"]*)")?/g)) attributes[name] ??= decoded(value ?? '');
    return attributes;
}

/** The forms of a page: where each goes, its fields and its buttons. */
export function formsOf(html) {
    return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/g)].map(([, tag, inside]) => ({
        ...attributesOf(tag),
        fields: [...inside.matchAll(/<input\b([^>]*)>/g)].map(([, input]) => attributesOf(input)),
        buttons: [...inside.matchAll(/<button\b([^>]*)>([\s\S]*?)<\/button>/g)].map(([, button, label]) => ({
            ...attributesOf(button),
            label: textOf(label),
        })),
    }));
}

export class Person {
    /** The pages that were read, as text, and the last one as it came. */
    read = [];
    html = '';
    #cookies = new Map();

    constructor(key) {
        this.key = key;
    }

    /** One request as a browser sends it, which follows nothing by itself. */
    async #ask(url, form) {
        const headers = { accept: 'text/html' };
        if (this.#cookies.size > 0) headers.cookie = [...this.#cookies].map(pair => pair.join('=')).join('; ');
        const body = form?.toString();
        if (form) {
            headers['content-type'] = 'application/x-www-form-urlencoded';
            headers['content-length'] = Buffer.byteLength(body);
            headers.origin = url.origin;
            headers['sec-fetch-site'] = 'same-origin';
        }
        return new Promise((resolve, reject) => {
            const request = http.request(url, { method: form ? 'POST' : 'GET', headers }, async answer => {
                for (const line of answer.headers['set-cookie'] ?? []) {
                    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
                    this.#cookies.set(name, value);
                }
                let text = '';
                for await (const part of answer) text += part;
                resolve({ status: answer.statusCode, location: answer.headers.location, text });
            });
            request.on('error', reject);
            request.setTimeout(10_000, () => request.destroy(new Error('no answer within 10 s')));
            request.end(body);
        });
    }

    /** Goes where the program sends it, until it is sent back to the program; resolves to that URL. */
    async decide(start, { answer = 'allow', access } = {}) {
        const home = new URL(start).origin;
        let url = new URL(start);
        let form;
        for (let step = 0; step < MOST_STEPS; step++) {
            const { status, location, text } = await this.#ask(url, form);
            form = undefined;
            if (location !== undefined && status >= 300 && status < 400) {
                url = new URL(location, url);
                if (url.origin !== home) return url;
                continue;
            }
            this.html = text;
            this.read.push(textOf(text));
            const main = formsOf(text).find(one => this.#isToBeFilled(one));
            if (!main) throw new Error(`status ${status}, and nothing to fill in: ${textOf(text).slice(0, 300)}`);
            form = this.#fill(main, answer, access);
            url = new URL(main.action || url, url);
        }
        throw new Error(`sent around for ${MOST_STEPS} steps, last to ${url.pathname}`);
    }

    #isToBeFilled(form) {
        return form.fields.some(field => field.type === 'password') || form.buttons.some(button => /^(allow|deny)/i.test(button.label));
    }

    #fill(form, answer, access) {
        const values = new URLSearchParams();
        for (const field of form.fields) {
            if (field.type === 'password') values.append(field.name, this.key);
            else if (field.type === 'radio') {
                const wanted = access === undefined ? 'checked' in field : field.value.startsWith(access);
                if (wanted) values.append(field.name, field.value);
            } else if (field.type === 'checkbox') {
                if ('checked' in field) values.append(field.name, field.value || 'on');
            } else if (field.name) values.append(field.name, field.value ?? '');
        }
        const pressed = form.buttons.find(button => button.label.toLowerCase().startsWith(answer)) ?? form.buttons[0];
        if (pressed?.name) values.append(pressed.name, pressed.value ?? '');
        return values;
    }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const [url, answer, access] = process.argv.slice(2);
    try {
        console.log(String(await new Person(process.env.PERSON_KEY).decide(url, { answer, access })));
    } catch (error) {
        console.error(`person: ${error.message}`);
        process.exitCode = 1;
    }
}
