// Keeps the fleet's table up to date without reloading. Without it the page's forms do the same, one page at a time.
'use strict';

const rows = document.getElementById('servers');
const row = document.getElementById('row').content.firstElementChild;
const status = document.getElementById('status');
const count = document.getElementById('count');

function say(text) { if (status.textContent !== text) status.textContent = text; }

function rowOf(server) {
  for (const existing of rows.children) {
    if (existing.dataset.name === server.name) return existing;
  }
  const added = row.cloneNode(true);
  added.dataset.name = server.name;
  for (const form of added.querySelectorAll('form')) {
    form.action = '/_lab/servers/' + encodeURIComponent(server.name) + '/' + form.dataset.action;
    const button = form.querySelector('button');
    button.setAttribute('aria-label', button.textContent + ' ' + server.name);
  }
  rows.append(added);
  return added;
}

function show(fleet) {
  const names = new Set();
  const news = [];
  for (const server of fleet.servers) {
    names.add(server.name);
    const line = rowOf(server);
    if (line.dataset.state !== server.state) {
      line.dataset.state = server.state;
      news.push(server.name + ' is ' + server.state);
    }
    for (const field of line.querySelectorAll('[data-field]')) {
      const text = String(server[field.dataset.field]);
      if (field.textContent !== text) field.textContent = text;
    }
  }
  for (const line of [...rows.children]) {
    if (names.has(line.dataset.name)) continue;
    news.push(line.dataset.name + ' is gone');
    line.remove();
  }
  const number = String(fleet.servers.length);
  if (count.textContent !== number) count.textContent = number;
  if (news.length) say(news.join(', ') + '.');
}

let unreachable = false;

async function refresh() {
  try {
    const response = await fetch('/_lab/fleet', { headers: { Accept: 'application/json' } });
    show(await response.json());
    if (unreachable) say('The lab answers again.');
    unreachable = false;
  } catch {
    unreachable = true;
    say('The lab does not answer. Has it been stopped?');
  }
}

async function poll() {
  if (!document.hidden) await refresh();
  setTimeout(poll, 1000);
}

document.addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector('button');
  button.disabled = true;
  try {
    const response = await fetch(form.action, { method: 'POST', headers: { Accept: 'application/json' } });
    if (!response.ok) say((await response.json()).detail);
    await refresh();
  } catch {
    say('The lab does not answer. Has it been stopped?');
  }
  button.disabled = false;
});

poll();
