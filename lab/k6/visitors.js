// The scenario of "lab load" for k6 (https://k6.io) and AWS Distributed Load Testing: visitors with a session each, who
// read, count visits, fill a cart, log in and log out, and know what they must see. Requests come at a rate that doesn't
// wait for answers.
//
//   k6 run -e URL=https://… -e RATE=200 -e DURATION=1m -e SESSIONS=100 lab/k6/visitors.js
//
// A visitor here sends one request at a time, since k6's are synchronous: overlapping requests of one session, and with
// them most lost updates, only "lab load" sends.
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
  noCookiesReset: true, // a visitor's session outlives an iteration
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
  updates: new Counter('updates_lost'), // less than what was acknowledged, in the answer to a change
  stale: new Counter('stale_reads'), // less than that, in a read
  crossed: new Counter('sessions_crossed'), // somebody else's
  resurrected: new Counter('sessions_resurrected'), // there again after its logout
};

const products = ['rubber-duck', 'coffee', 'pager', 'cactus', 'socks'];

// What "lab load" does by default, in percent.
const mix = { none: 10, read: 45, write: 25, cart: 15, login: 3, logout: 2 };

function draw() {
  let n = Math.random() * 100;
  for (const kind of Object.keys(mix)) {
    n -= mix[kind];
    if (n < 0) return kind;
  }
  return 'read';
}

// visitor is what this VU knows of its session. A request without a good answer may have been done or not: after it the
// visitor believes what the next answer says.
const visitor = { name: `k6-${__VU}`, visits: 0, cart: {}, loggedIn: false, sure: true };

function send(method, path, form) {
  const answer = http.request(method, url + path, form || null, {
    headers: { Accept: 'application/json' },
    tags: { name: path.startsWith('/api/cart/') ? '/api/cart/{sku}' : path }, // not a series for each product
  });
  if (answer.status !== 200) {
    if (method === 'POST') visitor.sure = false;
    return null;
  }
  return answer.json();
}

// judge compares counters with what the visitor knows.
function judge(visits, cart, short) {
  let less = visits < visitor.visits;
  let more = visits > visitor.visits;
  for (const sku of products) {
    less = less || (cart[sku] || 0) < (visitor.cart[sku] || 0);
    more = more || (cart[sku] || 0) > (visitor.cart[sku] || 0);
  }
  if (less && visitor.sure) short.add(1);
  if (more && visitor.sure) found.crossed.add(1);
  Object.assign(visitor, { visits, cart, sure: true });
}

function read() {
  const state = send('GET', '/api/session');
  if (!state) return;
  const began = visitor.visits > 0 || Object.keys(visitor.cart).length > 0 || visitor.loggedIn;
  if (visitor.sure && began && state.created === null) {
    found.lost.add(1);
    forget();
    return;
  }
  if (visitor.sure && (state.authenticated !== visitor.loggedIn || (state.authenticated && state.user !== visitor.name))) {
    found.crossed.add(1);
  }
  visitor.loggedIn = state.authenticated;
  judge(state.visits, state.cart, found.stale);
}

function forget() {
  Object.assign(visitor, { visits: 0, cart: {}, loggedIn: false, sure: true });
}

const actions = {
  none: () => send('GET', '/none'),
  read,
  write: () => {
    const answer = send('POST', '/api/visits');
    if (!answer) return;
    visitor.visits += 1;
    judge(answer.visits, visitor.cart, found.updates);
  },
  cart: () => {
    const sku = products[Math.floor(Math.random() * products.length)];
    const answer = send('POST', `/api/cart/${sku}`, { quantity: '1' });
    if (!answer) return;
    visitor.cart[sku] = (visitor.cart[sku] || 0) + 1;
    judge(visitor.visits, answer.cart, found.updates);
  },
  login: () => {
    const answer = send('POST', '/login', { user: visitor.name });
    if (answer) visitor.loggedIn = answer.authenticated;
  },
  // Logout is final: what comes next with the old cookie must find nothing.
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
  actions[draw()]();
}
