// Where the sandbox vendors are, and the way behind the curtain: seeding and looking.
'use strict';

const { token, base_url: addresses } = JSON.parse(process.env.SANDBOX);

async function control(vendor, path, body) {
    const answer = await fetch(`${addresses[vendor]}/_sandbox/${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
}

module.exports = {
    token,
    addresses,
    seed: (vendor, things) => control(vendor, 'seed', things),
    state: (vendor) => control(vendor, 'state'),
    fault: (vendor, ...faults) => control(vendor, 'faults', faults),
};
