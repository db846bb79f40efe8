// A replacement for k6/metrics that keeps the values of all counters.
export const counters = {};

export class Counter {
  constructor(name) {
    this.name = name;
    counters[name] = counters[name] || 0;
  }
  add(n) {
    counters[this.name] += n;
  }
}
