// Runs the scenario with a few visitors in turn and prints what it counted: node run.mjs URL ITERATIONS
import { answered } from 'k6/http';
import { counted } from 'k6/metrics';

globalThis.__ENV = { URL: process.argv[2], RATE: '50', DURATION: '20s', SESSIONS: '7' };
const visitors = [];
for (let vu = 1; vu <= 4; vu++) {
  globalThis.__VU = vu;
  visitors.push(await import(`./visitors.mjs?${vu}`)); // each has a module of its own, as in k6
}
for (let i = 0; i < Number(process.argv[3]); i++) {
  globalThis.__VU = (i % visitors.length) + 1;
  visitors[i % visitors.length].default();
}
console.log(JSON.stringify({ options: visitors[0].options, answered, counted }));
process.exit(0);
