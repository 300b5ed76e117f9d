// @hubspot/api-client against the sandbox: every flow of the HubSpot connector, under v3 by the client's own methods and under a
// dated version by its plain requests.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Client } = require('@hubspot/api-client');
const { addresses, token, fault } = require('./sandbox.js');

const client = new Client({ accessToken: token, basePath: addresses.hubspot, numberOfApiCallRetries: 0 });
const companies = client.crm.companies;

async function plain(method, path, body) {
    const answer = await client.apiRequest({ method, path, body, defaultJson: true });
    return { status: answer.status, body: await answer.json() };
}

test('whose account a token belongs to', async () => {
    const { body } = await plain('GET', '/account-info/2026-09/details');
    assert.ok(Number.isInteger(body.portalId));
    const stranger = new Client({ accessToken: 'another', basePath: addresses.hubspot });
    await assert.rejects(stranger.crm.companies.basicApi.getPage(), { code: 401 });
});

test('a group and properties are made once, and are taken the second time', async () => {
    const group = { name: 'client_group', label: 'Client' };
    assert.equal((await client.crm.properties.groupsApi.create('companies', group)).name, group.name);
    await assert.rejects(client.crm.properties.groupsApi.create('companies', group), { code: 409 });
    const property = (name, more) => ({ name, label: name, groupName: group.name, type: 'string', fieldType: 'text', ...more });
    const made = await client.crm.properties.batchApi.create('companies', {
        inputs: [
            property('client_account_id', { hasUniqueValue: true }),
            property('client_score', { type: 'number', fieldType: 'number' }),
            property('client_band', {
                type: 'enumeration',
                fieldType: 'select',
                options: ['healthy', 'at_risk'].map((value, at) => ({ label: value, value, displayOrder: at, hidden: false })),
            }),
        ],
    });
    assert.equal(made.results.length, 3);
    const read = await client.crm.properties.coreApi.getByName('companies', 'client_account_id');
    assert.equal(read.hasUniqueValue, true);
    const all = await client.crm.properties.coreApi.getAll('companies');
    assert.ok(all.results.some((one) => one.name === 'client_band' && one.options.length === 2));
});

test('companies are upserted by a property of our own, read, changed and found', async () => {
    const input = (id, properties) => ({ id, idProperty: 'client_account_id', properties: { client_account_id: id, ...properties } });
    const inputs = [input('acme', { name: 'Acme', domain: 'acme.example' }), input('beta', { name: 'Beta' })];
    const first = await companies.batchApi.upsert({ inputs });
    assert.deepEqual(first.results.map((one) => one._new ?? one.new), [true, true]);
    const again = await companies.batchApi.upsert({ inputs });
    assert.deepEqual(again.results.map((one) => one._new ?? one.new), [false, false]);
    const [acme, beta] = first.results.map((one) => one.id);

    const read = await companies.batchApi.read({
        idProperty: 'client_account_id',
        inputs: [{ id: 'acme' }, { id: 'nobody' }],
        properties: ['name', 'client_score'],
        propertiesWithHistory: [],
    });
    assert.deepEqual([read.results.map((one) => one.id), read.errors[0].category], [[acme], 'OBJECT_NOT_FOUND']);

    const update = await companies.batchApi.update({
        inputs: [
            { id: acme, properties: { client_score: '43', client_band: 'at_risk' }, objectWriteTraceId: '0' },
            { id: beta, properties: { client_score: 'many' }, objectWriteTraceId: '1' },
        ],
    });
    assert.deepEqual([update.results.length, update.errors[0].context.objectWriteTraceId], [1, ['1']]);
    assert.equal((await companies.basicApi.getById(acme, ['client_score'])).properties.client_score, '43');

    const found = await companies.searchApi.doSearch({
        filterGroups: [{ filters: [{ propertyName: 'domain', operator: 'IN', values: ['acme.example'] }] }],
        properties: ['domain'],
        limit: 10,
    });
    assert.deepEqual(found.results.map((one) => one.id), [acme]);
    await assert.rejects(
        companies.batchApi.update({ inputs: [acme, acme].map((id) => ({ id, properties: { client_score: '1' } })) }),
        { code: 400 },
    );
});

test('a dated version answers 200 to what failed in part', async () => {
    const path = '/crm/objects/2026-09/companies/batch/create';
    const good = { properties: { name: 'Dated' }, objectWriteTraceId: 'a' };
    const bad = { properties: { name: 'Bad', client_score: 'x' }, objectWriteTraceId: 'b' };
    const { status, body } = await plain('POST', path, { inputs: [good, bad] });
    assert.deepEqual([Math.floor(status / 100), body.results.length, body.numErrors], [2, 1, 1]);
});

test('contacts are made by e-mail and tied to their company', async () => {
    const contact = await client.crm.contacts.basicApi.create({ properties: { email: 'jo@acme.example', firstname: 'Jo' } });
    await assert.rejects(client.crm.contacts.basicApi.create({ properties: { email: 'JO@acme.example' } }), { code: 409 });
    const company = await companies.basicApi.create({ properties: { name: 'Tied' } });
    await client.crm.associations.v4.basicApi.createDefault('contacts', contact.id, 'companies', company.id);
    const { body } = await plain('POST', '/crm/v4/associations/contacts/companies/batch/read', { inputs: [{ id: contact.id }] });
    assert.equal(String(body.results[0].to[0].toObjectId), company.id);
});

test('a merged company answers to its survivor', async () => {
    const made = [];
    for (const name of ['One', 'Two']) made.push((await companies.basicApi.create({ properties: { name } })).id);
    const left = await plain('POST', '/crm/v3/objects/companies/merge', { primaryObjectId: made[0], objectIdToMerge: made[1] });
    assert.ok(left.body.id);
    const read = await companies.batchApi.read({ inputs: [{ id: made[1] }], properties: ['name'], propertiesWithHistory: [] });
    assert.deepEqual(read.results.map((one) => one.id), [left.body.id]);
});

test('the client waits out what the sandbox asks it to', async () => {
    const patient = new Client({ accessToken: token, basePath: addresses.hubspot, numberOfApiCallRetries: 2 });
    const body = JSON.stringify({ status: 'error', message: 'You have reached your secondly limit.', errorType: 'RATE_LIMIT', policyName: 'SECONDLY' });
    await fault('hubspot', { match: 'GET /crm', kind: { answer: { status: 429, headers: { 'Content-Type': 'application/json' }, body } } });
    assert.ok((await patient.crm.companies.basicApi.getPage(1)).results.length === 1);
});
