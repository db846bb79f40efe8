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

  // announceEvents shows the new events in the status line, for screen readers, the latest last.
  const newest = () => Number(document.querySelector('.events [data-key]')?.dataset.key ?? 0);
  let announced = newest();
  function announceEvents() {
    const news = [...document.querySelectorAll('.events [data-key]')].filter((event) => Number(event.dataset.key) > announced);
    if (!news.length) return;
    announced = newest();
    showStatus(news.reverse().map((event) => event.querySelector('span').textContent).join('. ') + '.');
  }

  let live, disconnected = false;
  function listen() {
    live = new EventSource('/_lab/live');
    live.onmessage = ({ data }) => {
      if (disconnected) showStatus('The lab responds again.');
      disconnected = false;
      morph(livePart, new DOMParser().parseFromString(data, 'text/html').querySelector('.live'));
      announceEvents();
    };
    live.onerror = () => {
      if (!disconnected) showStatus('The lab doesn’t respond. Has it been stopped?');
      disconnected = true;
    };
  }
  listen();
  document.addEventListener('visibilitychange', () => {
    live.close(); // browsers limit the connections to one address, and a hidden page needs none
    if (!document.hidden) listen();
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
      showStatus('The lab doesn’t respond. Has it been stopped?');
    }
    pending.delete(form);
  });
})();
