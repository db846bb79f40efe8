// A replacement for the parts of k6/http that the scenario uses: blocking requests, and a cookie jar for each VU.
import { MessageChannel, Worker, receiveMessageOnPort } from 'node:worker_threads';

const worker = new Worker(`
  const { workerData: { port, done } } = require('node:worker_threads');
  port.on('message', async ({ method, url, body, headers }) => {
    let result;
    try {
      const response = await fetch(url, { method, body, headers, redirect: 'manual' });
      result = { status: response.status, text: await response.text(), cookies: response.headers.getSetCookie() };
    } catch (error) {
      result = { status: 0, text: String(error), cookies: [] };
    }
    port.postMessage(result);
    Atomics.store(done, 0, 1);
    Atomics.notify(done, 0);
  });`, (() => {
  const { port1, port2 } = new MessageChannel();
  globalThis.k6port = port1;
  globalThis.k6done = new Int32Array(new SharedArrayBuffer(4));
  return { eval: true, workerData: { port: port2, done: globalThis.k6done }, transferList: [port2] };
})());
worker.unref();

const jars = new Map();
const jarOf = (vu) => jars.get(vu) || jars.set(vu, new Map()).get(vu);

export const responses = {}; // the number of responses by method, route and status

function request(method, url, form, params = {}) {
  const jar = jarOf(globalThis.__VU);
  const headers = { ...params.headers, Cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') };
  const body = form ? new URLSearchParams(form).toString() : undefined;
  if (body) headers['Content-Type'] = 'application/x-www-form-urlencoded';
  Atomics.store(globalThis.k6done, 0, 0);
  globalThis.k6port.postMessage({ method, url, body, headers });
  if (Atomics.wait(globalThis.k6done, 0, 0, 10000) === 'timed-out') throw new Error(`${method} ${url}: no response`);
  const { message } = receiveMessageOnPort(globalThis.k6port);
  for (const cookie of message.cookies) {
    const [name, value] = cookie.split(';')[0].split(/=(.*)/);
    if (/max-age=0|expires=thu, 01 jan 1970/i.test(cookie) || value === '') jar.delete(name);
    else jar.set(name, value);
  }
  const line = `${method} ${params.tags.name} ${message.status}`;
  responses[line] = (responses[line] || 0) + 1;
  return { status: message.status, json: () => JSON.parse(message.text) };
}

const cookieJar = () => {
  const jar = jarOf(globalThis.__VU);
  return {
    cookiesForURL: () => Object.fromEntries([...jar].map(([name, value]) => [name, [value]])),
    set: (url, name, value) => jar.set(name, value),
    clear: () => jar.clear(),
  };
};

export default { request, cookieJar };
