"use strict";
// The page works without this script. With it, forms are sent in the background, and the page shows the results in place.
(() => {
  const find = (selector) => document.querySelector(selector);
  if (!find("#tiles")) return; // an error page

  // The servers of the last responses. The colours and numbers are the same as in recent_servers.go.
  const length = 20, colours = 8;
  const recentServers = [...document.querySelectorAll("#tiles [data-server]")].map((tile) => tile.dataset.server);

  function serverNumbers(names) {
    return new Map([...new Set(names)].sort().map((name, i) => [name, Number(/-([1-9]\d{0,3})$/.exec(name)?.[1] ?? i + 1)]));
  }

  function element(name, className, text) {
    const node = document.createElement(name);
    node.className = className;
    node.textContent = text;
    return node;
  }

  function ariaHidden(node) {
    node.ariaHidden = "true";
    return node;
  }

  function showServer(server, zone) {
    if (!server) return;
    recentServers.push(server);
    recentServers.splice(0, recentServers.length - length);
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `served=${recentServers.join("~")}; Path=/; SameSite=Lax${secure}`;

    const numbers = serverNumbers(recentServers);
    const colour = (name) => `server-${(numbers.get(name) - 1) % colours}`;
    const tile = (name) => {
      const node = element("li", colour(name), "");
      node.append(ariaHidden(element("span", "", numbers.get(name))), element("span", "unseen", name));
      return node;
    };
    const tiles = recentServers.map(tile);
    tiles.at(-1).classList.add("fresh");
    while (tiles.length < length) tiles.unshift(ariaHidden(element("li", "none", "")));
    find("#tiles").replaceChildren(...tiles);
    find("#legend").replaceChildren(...[...new Set(recentServers)].sort().map((name) => {
      const node = element("li", "", "");
      node.append(ariaHidden(element("span", `tile ${colour(name)}`, numbers.get(name))), " ", element("span", "", name), " ",
        element("span", "count", recentServers.filter((server) => server === name).length));
      return node;
    }));
    find("#hero").className = `hero ${colour(server)}`;
    find("#server").textContent = server;
    find("#number").textContent = numbers.get(server);
    find("#zone").textContent = zone;
    document.title = `${server} – Stateless Servers`;
  }

  // request sends a GET, or a POST with the fields of a form, and returns the JSON of the response. If it fails, it throws
  // an Error with a message for the visitor.
  async function request(path, fields) {
    const [before] = trace("seen");
    const options = { headers: { Accept: "application/json" } };
    if (fields) Object.assign(options, { method: "POST", body: new URLSearchParams(fields) });
    let response, body;
    try {
      response = await fetch(path, options);
    } catch {
      throw new Error("No server could be reached. Check your connection.");
    }
    showServer(response.headers.get("X-Served-By"), response.headers.get("X-Served-Zone"));
    try {
      body = await response.json();
    } catch {
      const reason = {
        502: "The server failed before it answered. Your change may or may not have been made.",
        503: "No server took the request. Nothing was changed.",
        504: "The server took too long to answer. Your change may or may not have been made.",
      }[response.status] ?? `The response can’t be read (status ${response.status}).`;
      throw new Error(`${reason} Try again in a moment.`);
    }
    if (trace("lost").length > 0 && (!find("#lost") || trace("seen")[0] !== before)) {
      location.assign("/"); // the page explains it
      await new Promise(() => {});
    }
    if (!response.ok) throw Object.assign(new Error(body.detail), { ended: response.status === 409 });
    return body;
  }

  // trace returns the fields of a cookie of trace.go, or none.
  function trace(name) {
    const cookie = document.cookie.split("; ").find((cookie) => cookie.startsWith(`${name}=`));
    return cookie?.slice(name.length + 1).split("~") ?? [];
  }

  // runAction runs an action of a panel and shows its result or error there and at the top. If the session has ended, it also shows the
  // button for a new one.
  const afresh = find("#afresh");
  async function runAction(panel, action) {
    const status = panel.querySelector("[role=status]");
    afresh.hidden = true;
    try {
      status.textContent = await action();
      status.className = "status good";
    } catch (error) {
      status.textContent = error.message;
      status.className = "status bad";
      if (error.ended) status.after(afresh);
      afresh.hidden = !error.ended;
    }
    find("#event").textContent = status.textContent;
    showSession();
  }

  function showSession() {
    const [id, , created, expires] = trace("seen");
    if (!id) return;
    const moment = new Intl.DateTimeFormat("en-GB",
      { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC", timeZoneName: "short" });
    for (const node of document.querySelectorAll("[data-time]")) {
      const time = new Date({ created, expires }[node.dataset.time] * 1000);
      node.dateTime = time.toISOString();
      node.textContent = moment.format(time);
    }
    find("#no-session").hidden = true;
    for (const node of document.querySelectorAll("[data-session]")) node.hidden = false;
  }

  const panelOf = (element) => element.closest("section");

  find("#visit-form").addEventListener("submit", (event) => {
    event.preventDefault();
    runAction(panelOf(event.target), async () => {
      const { visits, server } = await request("/api/visits", {});
      find("#visits").textContent = visits;
      return `Counted by ${server}.`;
    });
  });

  const burst = find("#burst");
  burst.hidden = false;
  burst.addEventListener("click", () => runAction(panelOf(burst), async () => {
    // The first request is sent alone. If there is no session yet, it creates the one that the others add to.
    const first = await request("/api/visits", {});
    const rest = await Promise.allSettled(Array.from({ length: 19 }, () => request("/api/visits", {})));
    const done = [first, ...rest.filter((r) => r.status === "fulfilled").map((r) => r.value)];
    const highest = Math.max(...done.map((response) => response.visits));
    find("#visits").textContent = highest;
    const servers = new Set(done.map((response) => response.server)).size;
    const by = servers === 1 ? "1 server" : `${servers} servers`;
    const counted = highest - first.visits + 1;
    const text = `${done.length} of 20 acknowledged by ${by}, ${counted} counted.`;
    if (counted < done.length || done.length < 20) throw new Error(text);
    return text;
  }));

  for (const form of document.querySelectorAll("#cart form")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      runAction(panelOf(form), async () => {
        const { cart, server } = await request(form.getAttribute("action"), new FormData(form, event.submitter));
        let total = 0;
        for (const line of document.querySelectorAll("#cart li")) {
          const quantity = cart[line.dataset.sku] ?? 0;
          line.querySelector("[data-quantity]").textContent = quantity;
          line.classList.toggle("filled", quantity > 0);
          total += quantity * line.dataset.cents;
        }
        find("#total").textContent = (total / 100).toFixed(2);
        const { sku } = form.parentElement.dataset;
        const name = form.parentElement.querySelector("[data-name]").textContent;
        return `${name}: ${cart[sku] ?? 0} in the cart, says ${server}.`;
      });
    });
  }

  // The game
  const dice = find("#dice"), roll = find("#roll");
  find("#game").hidden = false;
  find("#score-form").hidden = true;
  roll.addEventListener("click", () => runAction(panelOf(roll), async () => {
    const faces = [...dice.children].map(() => 1 + Math.floor(Math.random() * 6));
    faces.forEach((face, i) => { dice.children[i].dataset.face = face; });
    dice.classList.remove("rolling");
    void dice.offsetWidth; // restarts the animation
    dice.classList.add("rolling");
    const sum = faces.reduce((a, b) => a + b);
    const alike = Math.max(...faces.map((face) => faces.filter((other) => other === face).length));
    const { name, server } = await request("/api/scores", { score: sum * alike });
    await showLeaderboard(name);
    return `${faces.join(" ")} makes ${sum} × ${alike} = ${sum * alike}, recorded by ${server}.`;
  }));

  async function showLeaderboard(player) {
    const { leaderboard } = await request("/api/leaderboard");
    find("#board").replaceChildren(...leaderboard.map((entry) => {
      const node = element("li", entry.name === player ? "own" : "", "");
      node.append(element("span", "player", entry.name), " ", element("span", "points", entry.score));
      return node;
    }));
    find("#board-fails").hidden = true;
    find("#board-empty").hidden = leaderboard.length > 0;
  }
})();
