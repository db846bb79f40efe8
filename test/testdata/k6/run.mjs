// Runs the scenario with four VUs in turn and prints its options, responses and counters: node run.mjs URL ITERATIONS
import { responses } from 'k6/http';
import { counters } from 'k6/metrics';

globalThis.__ENV = { URL: process.argv[2], RATE: '50', DURATION: '20s', SESSIONS: '7' };
const vus = [];
for (let vu = 1; vu <= 4; vu++) {
  globalThis.__VU = vu;
  vus.push(await import(`./visitors.mjs?${vu}`)); // a separate module for each VU, as in k6
}
for (let i = 0; i < Number(process.argv[3]); i++) {
  globalThis.__VU = (i % vus.length) + 1;
  vus[i % vus.length].default();
}
console.log(JSON.stringify({ options: vus[0].options, responses, counters }));
process.exit(0);
