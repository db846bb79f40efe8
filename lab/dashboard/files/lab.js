// Keeps the page up to date without reloading: the lab sends the live part of the page as it is now, and what differs is
// changed in place. Without this script the page's forms do the same, one page at a time.
'use strict';
(() => {
  const shown = document.querySelector('.live');
  const status = document.getElementById('status');
  const say = (text) => { status.textContent = text; };

  // morph makes an element like another one. Elements are kept, and with them the focus; those with a data-key are
  // told apart by it, those with data-keep are left alone.
  function morph(element, next) {
    if (element.hasAttribute('data-keep')) return;
    for (const { name } of [...element.attributes]) {
      if (!next.hasAttribute(name)) element.removeAttribute(name);
    }
    for (const { name, value } of next.attributes) {
      if (element.getAttribute(name) !== value) element.setAttribute(name, value);
    }

    const keyOf = (node) => node.dataset?.key;
    const keys = new Set([...next.children].map(keyOf));
    for (const child of [...element.children]) {
      if (keyOf(child) && !keys.has(keyOf(child))) child.remove();
    }
    let at = element.firstChild;
    for (const child of [...next.childNodes]) {
      if (!at || at.nodeName !== child.nodeName || keyOf(at) !== keyOf(child)) {
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

  // News are said once, the latest last.
  const newest = () => Number(document.querySelector('.events [data-key]')?.dataset.key ?? 0);
  let said = newest();
  function sayNews() {
    const news = [...document.querySelectorAll('.events [data-key]')].filter((event) => Number(event.dataset.key) > said);
    if (!news.length) return;
    said = newest();
    say(news.reverse().map((event) => event.querySelector('span').textContent).join('. ') + '.');
  }

  let live, silent = false;
  function listen() {
    live = new EventSource('/_lab/live');
    live.onmessage = ({ data }) => {
      if (silent) say('The lab answers again.');
      silent = false;
      morph(shown, new DOMParser().parseFromString(data, 'text/html').querySelector('.live'));
      sayNews();
    };
    live.onerror = () => {
      if (!silent) say('The lab doesn’t answer. Has it been stopped?');
      silent = true;
    };
  }
  listen();
  document.addEventListener('visibilitychange', () => {
    live.close(); // a browser has few connections to one address, and a hidden page needs none
    if (!document.hidden) listen();
  });

  const underWay = new WeakSet();
  document.addEventListener('submit', async (event) => {
    event.preventDefault();
    const form = event.target;
    if (underWay.has(form)) return;
    underWay.add(form);
    try {
      const body = new URLSearchParams(new FormData(form, event.submitter));
      const response = await fetch(form.getAttribute('action'), { method: 'POST', headers: { Accept: 'application/json' }, body });
      if (!response.ok) say((await response.json()).detail);
    } catch {
      say('The lab doesn’t answer. Has it been stopped?');
    }
    underWay.delete(form);
  });
})();
