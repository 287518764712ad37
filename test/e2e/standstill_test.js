// Whole answers whose engine or site stands still, alive but silent: nothing of them could tell, since
// they come in one piece. They are made elsewhere.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Grid } from './support/grid.js';
import { until } from './support/process.js';
import { StubEngine, good } from './support/stub_engine.js';

const messages = [{ role: 'user', content: 'Hi' }];
let stub;
let grid;

before(async () => {
  stub = await StubEngine.start();
  grid = await Grid.start();
});
after(async () => {
  for (const { child } of grid?.sites.values() ?? []) child.kill('SIGCONT');
  await grid?.stop();
  await stub?.stop();
});

// Two servers of one model, of which whoever is asked first says nothing: {first, second} names them.
function holdTheFirst(names) {
  const asked = [];
  for (const name of names) {
    stub.on(name, (json, response) => {
      asked.push(name);
      if (asked[0] !== name) good(json, response);
    });
  }
  return asked;
}

// The answer of the second server, asked at `site` while `standStill(first)` makes the first silent.
async function answeredElsewhere(site, model, asked, standStill) {
  const answer = fetch(`${site.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ model, messages }),
    headers: { authorization: `Bearer ${grid.key}` } });
  await until('one is asked', () => asked.length === 1);
  standStill(asked[0]);
  const response = await answer;
  assert.equal(response.status, 200);
  assert.equal((await response.json()).choices[0].message.content, 'hello there');
  assert.equal(new Set(asked).size, 2);
  return response;
}

test('an external engine that stands still: another of the site answers', async () => {
  const asked = holdTheFirst(['one', 'two']);
  const engines = ['one', 'two'].map((name) => ({ ...stub.engine(name), model: 'here' }));
  const site = await grid.addSite('alone', { engines });
  const both = async () => (await grid.status(site)).engines.every(({ state }) => state === 'ready');
  await until('both are ready', both);
  await answeredElsewhere(site, 'here', asked, (first) => stub.silent.add(first));
});

test('a site that stands still: another site answers', async () => {
  const asked = holdTheFirst(['near', 'far']);
  for (const name of ['near', 'far']) {
    await grid.addSite(name, { engines: [{ ...stub.engine(name), model: 'there' }] });
    await grid.admin('PUT', `/placements/${name}/there`, {});
  }
  const ingress = await grid.addSite('ingress');
  const both = async () => (await grid.status(ingress)).peers.filter(({ models }) => models.includes('there')).length === 2;
  await until('both are known', both);
  const response = await answeredElsewhere(ingress, 'there', asked,
    (first) => grid.sites.get(first).child.kill('SIGSTOP'));
  assert.equal(response.headers.get('perigee-site'), asked[1]);
});
