// intercom-client against the sandbox: every flow of the Intercom connector.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { IntercomClient } = require('intercom-client');
const { addresses, token, fault } = require('./sandbox.js');

// The client knows fewer versions by name than there are; the connector's goes by header.
const options = { environment: addresses.intercom, maxRetries: 0, headers: { 'Intercom-Version': '2.16' } };
const client = new IntercomClient({ token, ...options });

test('whose workspace a token belongs to', async () => {
    const me = await client.admins.identify();
    assert.ok(me.app.id_code);
    const stranger = new IntercomClient({ token: 'another', ...options });
    await assert.rejects(stranger.admins.identify(), { statusCode: 401 });
});

test('attributes are made once', async () => {
    const attribute = { name: 'client_score', model: 'contact', data_type: 'float' };
    const made = await client.dataAttributes.create(attribute);
    assert.equal(made.data_type, 'float');
    await assert.rejects(client.dataAttributes.create(attribute), { statusCode: 400 });
    await client.dataAttributes.create({ name: 'client_band', model: 'company', data_type: 'string' });
    const listed = await client.dataAttributes.list({ model: 'contact' });
    assert.ok(listed.data.some((one) => one.name === 'client_score' && one.custom));
});

test('contacts are made, found by our id, changed and tagged', async () => {
    const made = await client.contacts.create({ external_id: 'client-u1', email: 'u1@acme.example', custom_attributes: { client_score: 71 } });
    await assert.rejects(client.contacts.create({ external_id: 'client-u1' }), { statusCode: 409 });
    const found = await client.contacts.showContactByExternalId({ external_id: 'client-u1' });
    assert.equal(found.id, made.id);
    await assert.rejects(client.contacts.showContactByExternalId({ external_id: 'nobody' }), { statusCode: 404 });
    await client.contacts.update({ contact_id: made.id, custom_attributes: { client_score: 43 } });
    assert.equal((await client.contacts.find({ contact_id: made.id })).custom_attributes.client_score, 43);
    await assert.rejects(client.contacts.update({ contact_id: made.id, custom_attributes: { nothing_of_ours: 1 } }), { statusCode: 400 });

    const tag = await client.tags.create({ name: 'Client: at risk' });
    assert.equal((await client.tags.create({ name: 'client: AT RISK' })).id, tag.id);
    await client.tags.tagContact({ contact_id: made.id, id: tag.id });
    const tags = async () => (await client.contacts.listAttachedTags({ contact_id: made.id })).data.map((one) => one.name);
    assert.deepEqual(await tags(), ['Client: at risk']);
    await client.tags.untagContact({ contact_id: made.id, tag_id: tag.id });
    assert.deepEqual(await tags(), []);
});

test('companies are upserted by our id, and tagged as a list', async () => {
    const first = await client.companies.createOrUpdate({ company_id: 'client-c1', name: 'One' });
    const again = await client.companies.createOrUpdate({ company_id: 'client-c1', name: 'One', custom_attributes: { client_band: 'at_risk' } });
    assert.equal(again.id, first.id);
    await client.companies.createOrUpdate({ company_id: 'client-c2', name: 'Two' });
    const contact = await client.contacts.create({ external_id: 'client-u2', email: 'u2@acme.example' });
    await client.companies.attachContact({ contact_id: contact.id, id: first.id });

    const companies = ['client-c1', 'client-c2'].map((company_id) => ({ company_id }));
    const tag = await client.tags.create({ name: 'Client: list', companies });
    assert.equal(tag.name, 'Client: list');
    await client.tags.create({ name: 'Client: list', companies: companies.map((one) => ({ ...one, untag: true })) });
    await assert.rejects(client.tags.create({ name: 'Client: list', companies: [{ company_id: 'nobody' }] }), { statusCode: 404 });
});

test('the client waits out a full window', async () => {
    const patient = new IntercomClient({ token, ...options, maxRetries: 2 });
    const body = JSON.stringify({ type: 'error.list', errors: [{ code: 'rate_limit_exceeded', message: 'Exceeded rate limit of 83 in 10_seconds' }] });
    await fault('intercom', { match: 'GET /me', kind: { answer: { status: 429, headers: { 'Content-Type': 'application/json' }, body } } });
    assert.ok((await patient.admins.identify()).app);
});
