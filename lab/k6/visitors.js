// The scenario of "lab load" for k6 (https://k6.io) and AWS Distributed Load Testing. Each virtual user (VU) has a session. It
// reads, counts visits, fills a cart, logs in and out, and checks the responses. New requests start at a constant rate, whether or
// not earlier ones have a response.
//
//   k6 run -e URL=https://… -e RATE=200 -e DURATION=1m -e SESSIONS=100 lab/k6/visitors.js
//
// Requests in k6 are synchronous, so a VU sends one request at a time. Only "lab load" sends overlapping requests of one session,
// which cause most lost updates.
import http from 'k6/http';
import { Counter } from 'k6/metrics';

const url = (__ENV.URL || 'http://127.0.0.1:8080').replace(/\/$/, '');
const sessions = Number(__ENV.SESSIONS || 100);

export const options = {
  scenarios: {
    visitors: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE || 100),
      timeUnit: '1s',
      duration: __ENV.DURATION || '30s',
      preAllocatedVUs: sessions,
      maxVUs: sessions,
    },
  },
  noCookiesReset: true, // keep the session of a VU between iterations
  thresholds: {
    sessions_lost: ['count==0'],
    updates_lost: ['count==0'],
    stale_reads: ['count==0'],
    sessions_crossed: ['count==0'],
    sessions_resurrected: ['count==0'],
    http_req_failed: ['rate<0.01'],
  },
};

const found = {
  lost: new Counter('sessions_lost'), // the session is gone
  updates: new Counter('updates_lost'), // the response to an update lacks acknowledged updates
  stale: new Counter('stale_reads'), // the response to a read lacks acknowledged updates
  crossed: new Counter('sessions_crossed'), // the response has the data of another session
  resurrected: new Counter('sessions_resurrected'), // the session is alive after logout
};

const products = ['rubber-duck', 'coffee', 'pager', 'cactus', 'socks'];

// The default mix of "lab load", in percent.
const mix = { none: 10, read: 45, write: 25, cart: 15, login: 3, logout: 2 };

// randomKind returns a random kind of request according to the mix.
function randomKind() {
  let n = Math.random() * 100;
  for (const kind of Object.keys(mix)) {
    n -= mix[kind];
    if (n < 0) return kind;
  }
  return 'read';
}

// expected is the expected state of this VU's session. An update without a successful response may or may not have taken effect.
// After it, certain is false, and the state in the next response is not checked but becomes the expected one.
const expected = { name: `k6-${__VU}`, visits: 0, cart: {}, loggedIn: false, certain: true };

// send returns the body of the response, or null if the request fails.
function send(method, path, form) {
  const response = http.request(method, url + path, form || null, {
    headers: { Accept: 'application/json' },
    tags: { name: path.startsWith('/api/cart/') ? '/api/cart/{sku}' : path }, // one time series for all products
  });
  if (response.status !== 200) {
    if (method === 'POST') expected.certain = false;
    return null;
  }
  return response.json();
}

// check compares the counters with the expected ones. Counters that are too low count as the violation tooLow, and counters that
// are too high as crossed.
function check(visits, cart, tooLow) {
  let less = visits < expected.visits;
  let more = visits > expected.visits;
  for (const sku of products) {
    less = less || (cart[sku] || 0) < (expected.cart[sku] || 0);
    more = more || (cart[sku] || 0) > (expected.cart[sku] || 0);
  }
  if (less && expected.certain) tooLow.add(1);
  if (more && expected.certain) found.crossed.add(1);
  Object.assign(expected, { visits, cart, certain: true });
}

function read() {
  const state = send('GET', '/api/session');
  if (!state) return;
  const started = expected.visits > 0 || Object.keys(expected.cart).length > 0 || expected.loggedIn;
  if (expected.certain && started && state.created === null) {
    found.lost.add(1);
    forget();
    return;
  }
  if (expected.certain && (state.authenticated !== expected.loggedIn || (state.authenticated && state.user !== expected.name))) {
    found.crossed.add(1);
  }
  expected.loggedIn = state.authenticated;
  check(state.visits, state.cart, found.stale);
}

// forget resets the expected state to that of no session.
function forget() {
  Object.assign(expected, { visits: 0, cart: {}, loggedIn: false, certain: true });
}

const actions = {
  none: () => send('GET', '/none'),
  read,
  write: () => {
    const response = send('POST', '/api/visits');
    if (!response) return;
    expected.visits += 1;
    check(response.visits, expected.cart, found.updates);
  },
  cart: () => {
    const sku = products[Math.floor(Math.random() * products.length)];
    const response = send('POST', `/api/cart/${sku}`, { quantity: '1' });
    if (!response) return;
    expected.cart[sku] = (expected.cart[sku] || 0) + 1;
    check(expected.visits, response.cart, found.updates);
  },
  login: () => {
    const response = send('POST', '/login', { user: expected.name });
    if (response) expected.loggedIn = response.authenticated;
  },
  // After a logout, a request with the old cookie must find no session.
  logout: () => {
    const jar = http.cookieJar();
    const cookies = jar.cookiesForURL(url);
    if (!send('POST', '/logout')) return;
    forget();
    for (const name of Object.keys(cookies)) jar.set(url, name, cookies[name][0]);
    const state = send('GET', '/api/session');
    if (state && state.created !== null) found.resurrected.add(1);
    jar.clear(url);
  },
};

export default function () {
  actions[randomKind()]();
}
