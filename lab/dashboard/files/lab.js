// Keeps the page up to date without reloading. The lab sends the live part of the page, and morph updates the elements that
// differ. Without this script the forms work by reloading the page.
'use strict';
(() => {
  const livePart = document.querySelector('.live');
  const status = document.getElementById('status');
  const showStatus = (text) => { status.textContent = text; };

  // morph makes element equal to next. It keeps existing elements, and with them the focus. Siblings are matched by their
  // data-key; elements with data-keep are not changed.
  function morph(element, next) {
    if (element.hasAttribute('data-keep')) return;
    for (const { name } of [...element.attributes]) {
      if (!next.hasAttribute(name)) element.removeAttribute(name);
    }
    for (const { name, value } of next.attributes) {
      if (element.getAttribute(name) !== value) element.setAttribute(name, value);
    }

    const key = (node) => node.dataset?.key;
    const keys = new Set([...next.children].map(key));
    for (const child of [...element.children]) {
      if (key(child) && !keys.has(key(child))) child.remove();
    }
    let at = element.firstChild;
    for (const child of [...next.childNodes]) {
      if (!at || at.nodeName !== child.nodeName || key(at) !== key(child)) {
        element.insertBefore(child, at);
        continue;
      }
      if (child.nodeType === Node.ELEMENT_NODE) morph(at, child);
      else if (at.nodeValue !== child.nodeValue) at.nodeValue = child.nodeValue;
      at = at.nextSibling;
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  // announceEvents announces the new events to screen readers, the latest last.
  const newest = () => Number(document.querySelector('.events [data-key]')?.dataset.key ?? 0);
  let announced = newest();
  function announceEvents() {
    const news = [...document.querySelectorAll('.events [data-key]')].filter((event) => Number(event.dataset.key) > announced);
    if (!news.length) return;
    announced = newest();
    document.getElementById('news').textContent = news.reverse().map((event) => event.querySelector('span').textContent).join('. ') + '.';
  }

  // The slider over the charts shows the values of the column under the pointer, or of one chosen with the arrow keys.
  const slider = document.querySelector('.slider'), cursor = document.querySelector('.cursor'), moment = document.getElementById('moment');
  let column = null; // null for the newest
  slider.hidden = false;
  function showColumn() {
    const at = column ?? slider.max;
    const values = JSON.parse(document.querySelector('.charts').dataset.columns)[at];
    const shown = [...document.querySelectorAll('.legend li')];
    shown.forEach((entry, i) => { entry.querySelector('b').textContent = values?.[i + 1] ?? '–'; });
    cursor.hidden = column === null;
    cursor.style.left = `${(Number(at) + 0.5) / (Number(slider.max) + 1) * 100}%`;
    moment.textContent = column === null ? '' : values?.[0] ?? 'no data';
    slider.value = at;
    slider.setAttribute('aria-valuetext', values ? `${values[0]}: ` + shown.map((entry) => entry.innerText).join(', ') : 'no data');
  }
  function choose(at) { column = at; showColumn(); }
  slider.addEventListener('input', () => choose(slider.value));
  slider.addEventListener('pointermove', ({ offsetX }) => choose(Math.min(Math.floor(offsetX / slider.clientWidth * (Number(slider.max) + 1)), slider.max)));
  for (const name of ['pointerleave', 'blur']) slider.addEventListener(name, () => choose(null));
  showColumn();

  // While the lab doesn't respond, nothing on the page may look current.
  const gone = document.getElementById('gone');
  function setGone(now) {
    if (gone.hidden === !now) return;
    gone.hidden = !now;
    gone.textContent = now ? gone.dataset.text : '';
    document.title = now ? 'Gone – Stateless Servers' : 'Fleet – Stateless Servers';
    livePart.inert = now;
    livePart.classList.toggle('stale', now);
    if (!now) return;
    for (const value of livePart.querySelectorAll('.figures dd, #store p')) value.textContent = '–';
    for (const state of livePart.querySelectorAll('.state')) state.textContent = 'unknown';
    for (const row of livePart.querySelectorAll('[data-state]')) row.dataset.state = 'initial';
  }

  let live, silence = 0; // seconds since the last message, of which the lab sends one each second
  setInterval(() => { if (!document.hidden && ++silence > 10) setGone(true); }, 1000);
  function listen() {
    live?.close();
    silence = 0;
    live = new EventSource('/_lab/live' + location.search);
    live.onmessage = ({ data }) => {
      silence = 0;
      setGone(false);
      morph(livePart, new DOMParser().parseFromString(data, 'text/html').querySelector('.live'));
      showColumn();
      announceEvents();
    };
    live.onerror = () => setGone(true);
  }
  listen();
  document.addEventListener('visibilitychange', () => {
    live.close(); // browsers limit the connections to one address, and a hidden page needs none
    if (!document.hidden) listen();
  });
  document.addEventListener('click', (event) => {
    const range = event.target.closest('.ranges a');
    if (!range || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.replaceState(null, '', range.href);
    listen();
  });

  const pending = new WeakSet();
  document.addEventListener('submit', async (event) => {
    event.preventDefault();
    const form = event.target;
    if (pending.has(form)) return;
    pending.add(form);
    try {
      const body = new URLSearchParams(new FormData(form, event.submitter));
      const response = await fetch(form.getAttribute('action'), { method: 'POST', headers: { Accept: 'application/json' }, body });
      if (!response.ok) showStatus((await response.json()).detail);
    } catch {
      setGone(true);
    }
    pending.delete(form);
  });
})();
