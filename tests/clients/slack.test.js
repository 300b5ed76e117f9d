// @slack/web-api and @slack/webhook against the sandbox: every flow of the Slack connector.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { LogLevel, WebClient } = require('@slack/web-api');
const { IncomingWebhook } = require('@slack/webhook');
const { addresses, token, seed, state, fault } = require('./sandbox.js');

const options = { slackApiUrl: `${addresses.slack}/api/`, logLevel: LogLevel.ERROR, retryConfig: { retries: 0 } };
const client = new WebClient(token, options);
const refused = (error) => (thrown) => thrown.data?.error === error;
let channel;

test('whose workspace a token belongs to', async () => {
    assert.match((await client.auth.test()).team_id, /^T/);
    await assert.rejects(new WebClient('xoxb-another', options).auth.test(), refused('invalid_auth'));
});

test('a channel is found by its name', async () => {
    [channel] = (await seed('slack', { channels: ['client-alerts'] })).channels;
    const names = [];
    for await (const page of client.paginate('conversations.list', { limit: 1, exclude_archived: true })) {
        names.push(...page.channels.map((one) => one.name));
    }
    assert.ok(names.includes('client-alerts'));
    assert.equal((await client.conversations.info({ channel })).channel.name, 'client-alerts');
});

test('an alert is posted, found by its metadata, answered in its thread and changed', async () => {
    const metadata = { event_type: 'vitalsync_alert', event_payload: { occasion: '0a1b' } };
    const blocks = [
        { type: 'header', text: { type: 'plain_text', text: 'Acme fell', emoji: false } },
        { type: 'section', fields: [{ type: 'mrkdwn', text: '*Health*\n43', verbatim: true }] },
    ];
    const posted = await client.chat.postMessage({ channel: '#client-alerts', text: 'Acme fell', blocks, metadata, unfurl_links: false });
    assert.equal(posted.channel, channel);
    const history = await client.conversations.history({ channel, include_all_metadata: true, oldest: '0' });
    const found = history.messages.find((one) => one.metadata?.event_payload.occasion === '0a1b');
    assert.equal(found.ts, posted.ts);
    const reply = await client.chat.postMessage({ channel, text: 'better', thread_ts: posted.ts });
    assert.notEqual(reply.ts, posted.ts);
    await client.chat.update({ channel, ts: posted.ts, text: 'Acme fell, and rose' });
    await assert.rejects(client.chat.postMessage({ channel: '#nowhere', text: 'x' }), refused('channel_not_found'));
    const long = [{ type: 'header', text: { type: 'plain_text', text: 'x'.repeat(151) } }];
    await assert.rejects(client.chat.postMessage({ channel, text: 'x', blocks: long }), refused('invalid_blocks'));
});

test('an incoming webhook posts, and says nothing but ok', async () => {
    const before = (await state('slack')).messages?.length;
    const hook = new IncomingWebhook(`${addresses.slack}/services/T0/B0/secret`);
    assert.equal((await hook.send({ text: 'by webhook' })).text, 'ok');
    if (before !== undefined) assert.equal((await state('slack')).messages.length, before + 1);
    await assert.rejects(hook.send({}), /no_text|invalid_payload|400/);
});

test('the client waits out what the sandbox asks it to', async () => {
    const patient = new WebClient(token, { ...options, retryConfig: { retries: 2 } });
    const body = JSON.stringify({ ok: false, error: 'ratelimited' });
    await fault('slack', { match: 'POST /api/auth.test', kind: { answer: { status: 429, headers: { 'Retry-After': '1' }, body } } });
    assert.equal((await patient.auth.test()).ok, true);
});
