"use strict";
// The page works without this script. With it, forms are sent in the background and what changed is shown in place.
(() => {
  const one = (selector) => document.querySelector(selector);
  if (!one("#tiles")) return; // an error page

  // Who answered. The colours and letters are those of served.go.
  const length = 20, colours = 8;
  const answers = [...document.querySelectorAll("#tiles [data-server]")].map((tile) => tile.dataset.server);

  function hash(name) {
    let h = 0x811c9dc5; // FNV-1a, 32 bits
    for (const c of name) h = Math.imul(h ^ c.charCodeAt(0), 0x01000193) >>> 0;
    return h;
  }

  function slotsOf(names) {
    const slots = new Map();
    [...new Set(names)].sort().forEach((name, i) => {
      let slot = hash(name) % colours;
      while (i < colours && [...slots.values()].includes(slot)) slot = (slot + 1) % colours;
      slots.set(name, i < colours ? slot : i);
    });
    return slots;
  }

  function element(name, className, text) {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text;
    return made;
  }

  function unspoken(made) {
    made.ariaHidden = "true";
    return made;
  }

  function showAnswer(server, zone) {
    if (!server) return;
    answers.push(server);
    answers.splice(0, answers.length - length);
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `served=${answers.join("~")}; Path=/; SameSite=Lax${secure}`;

    const slots = slotsOf(answers);
    const colour = (name) => `server-${slots.get(name) % colours}`;
    const letter = (name) => String.fromCharCode(65 + slots.get(name));
    const tile = (name) => {
      const made = element("li", colour(name), "");
      made.append(unspoken(element("span", "", letter(name))), element("span", "unseen", name));
      return made;
    };
    const tiles = answers.map(tile);
    tiles.at(-1).classList.add("fresh");
    while (tiles.length < length) tiles.unshift(unspoken(element("li", "none", "")));
    one("#tiles").replaceChildren(...tiles);
    one("#legend").replaceChildren(...[...new Set(answers)].sort().map((name) => {
      const made = element("li", "", "");
      made.append(unspoken(element("span", `tile ${colour(name)}`, letter(name))), " ", element("span", "", name), " ",
        element("span", "count", answers.filter((answer) => answer === name).length));
      return made;
    }));
    one("#hero").className = `hero ${colour(server)}`;
    one("#server").textContent = server;
    one("#letter").textContent = letter(server);
    one("#zone").textContent = zone;
    document.title = `${server} – Stateless Servers`;
  }

  // Requests. What fails is thrown as an Error with a message for people.
  async function call(path, fields) {
    const options = { headers: { Accept: "application/json" } };
    if (fields) Object.assign(options, { method: "POST", body: new URLSearchParams(fields) });
    let response, body;
    try {
      response = await fetch(path, options);
    } catch {
      throw new Error("No server could be reached. Check your connection.");
    }
    showAnswer(response.headers.get("X-Served-By"), response.headers.get("X-Served-Zone"));
    try {
      body = await response.json();
    } catch {
      throw new Error(`The answer can’t be read (status ${response.status}).`);
    }
    if (!response.ok) throw Object.assign(new Error(body.detail), { ended: response.status === 409 });
    return body;
  }

  // act does something for a panel, and says there what came of it. To a session that has ended, it offers the way out.
  const afresh = one("#afresh");
  async function act(panel, work) {
    const status = panel.querySelector("[role=status]");
    afresh.hidden = true;
    try {
      status.textContent = await work();
      status.className = "status good";
      if (one("#has-session").hidden) await showSession();
    } catch (error) {
      status.textContent = error.message;
      status.className = "status bad";
      if (error.ended) status.after(afresh);
      afresh.hidden = !error.ended;
    }
  }

  async function showSession() {
    const session = await call("/api/session");
    if (!session.created) return; // the server that was asked doesn't know it
    const moment = new Intl.DateTimeFormat("en-GB",
      { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC", timeZoneName: "short" });
    for (const name of ["created", "expires"]) {
      one(`#${name}`).dateTime = session[name];
      one(`#${name}`).textContent = moment.format(new Date(session[name]));
    }
    one("#no-session").hidden = true;
    one("#has-session").hidden = false;
  }

  const panelOf = (element) => element.closest("section");

  one("#visit-form").addEventListener("submit", (event) => {
    event.preventDefault();
    act(panelOf(event.target), async () => {
      const { visits, server } = await call("/api/visits", {});
      one("#visits").textContent = visits;
      return `Counted by ${server}.`;
    });
  });

  const burst = one("#burst");
  burst.hidden = false;
  burst.addEventListener("click", () => act(panelOf(burst), async () => {
    // The first goes alone: where there is no session yet, it starts the one that the others add to.
    const first = await call("/api/visits", {});
    const rest = await Promise.allSettled(Array.from({ length: 19 }, () => call("/api/visits", {})));
    const done = [first, ...rest.filter((r) => r.status === "fulfilled").map((r) => r.value)];
    const most = Math.max(...done.map((answer) => answer.visits));
    one("#visits").textContent = most;
    const servers = new Set(done.map((answer) => answer.server)).size;
    const by = servers === 1 ? "1 server" : `${servers} servers`;
    const counted = most - first.visits + 1;
    const text = `${done.length} of 20 acknowledged by ${by}, ${counted} counted.`;
    if (counted < done.length || done.length < 20) throw new Error(text);
    return text;
  }));

  for (const form of document.querySelectorAll("#cart form")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      act(panelOf(form), async () => {
        const { cart, server } = await call(form.getAttribute("action"), new FormData(form, event.submitter));
        let total = 0;
        for (const line of document.querySelectorAll("#cart li")) {
          const quantity = cart[line.dataset.sku] ?? 0;
          line.querySelector("[data-quantity]").textContent = quantity;
          line.classList.toggle("filled", quantity > 0);
          total += quantity * line.dataset.cents;
        }
        one("#total").textContent = (total / 100).toFixed(2);
        const { sku } = form.parentElement.dataset;
        const name = form.parentElement.querySelector("[data-name]").textContent;
        return `${name}: ${cart[sku] ?? 0} in the cart, says ${server}.`;
      });
    });
  }

  // The game
  const dice = one("#dice"), roll = one("#roll");
  one("#game").hidden = false;
  one("#score-form").hidden = true;
  roll.addEventListener("click", () => act(panelOf(roll), async () => {
    const faces = [...dice.children].map(() => 1 + Math.floor(Math.random() * 6));
    faces.forEach((face, i) => { dice.children[i].dataset.face = face; });
    dice.classList.remove("rolling");
    void dice.offsetWidth; // so that the animation starts again
    dice.classList.add("rolling");
    const sum = faces.reduce((a, b) => a + b);
    const alike = Math.max(...faces.map((face) => faces.filter((other) => other === face).length));
    const { name, server } = await call("/api/scores", { score: sum * alike });
    await showBoard(name);
    return `${faces.join(" ")} makes ${sum} × ${alike} = ${sum * alike}, recorded by ${server}.`;
  }));

  async function showBoard(player) {
    const { leaderboard } = await call("/api/leaderboard");
    one("#board").replaceChildren(...leaderboard.map((entry) => {
      const made = element("li", entry.name === player ? "own" : "", "");
      made.append(element("span", "player", entry.name), " ", element("span", "points", entry.score));
      return made;
    }));
    one("#board-fails").hidden = true;
    one("#board-empty").hidden = leaderboard.length > 0;
  }
})();
