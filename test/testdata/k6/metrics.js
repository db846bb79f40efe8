export const counted = {};

export class Counter {
  constructor(name) {
    this.name = name;
    counted[name] = counted[name] || 0;
  }
  add(n) {
    counted[this.name] += n;
  }
}
