// Progressive enhancement of the dashboard. Every page works without it: links are links, forms are forms.
//
// data-swap="id"      on a form or link: what it leads to is fetched, and the element of that id put in the place of
//                     the one that is shown. Several ids with spaces between them.
// data-preview="id"   on a form: while it is filled in, it is sent with do=preview and that element is swapped; on one
//                     of its fields: those that are swapped when that field changes.
// data-live           on <main>: elements with data-fresh are kept up to date when the server says that something changed.
// data-until          on <time>: counted down. All other instants stay in UTC, as the server wrote them.
// data-copy="text"    on a button: copies it.
// data-unscripted     on a button: hidden, because a script does the same.
// data-fit            on an <iframe> of this site: as high as its document.
"use strict";

const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function counted(seconds) {
  const parts = [];
  for (const [name, size] of units) {
    const many = Math.floor(seconds / size);
    seconds -= many * size;
    if (many) parts.push(`${many} ${name}${many === 1 ? "" : "s"}`);
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "less than a second";
}

function countDown(time) {
  const at = Date.parse(time.dateTime);
  const left = Math.round((at - Date.now()) / 1000);
  time.dataset.until ||= time.textContent;  // the instant, as the server wrote it
  const text = left > 0 ? `in ${counted(left)}` : time.dataset.until;
  if (time.textContent !== text) time.textContent = text;
}

// Instants that are counted down to, and buttons that need a script.
function dress(root) {
  for (const time of root.querySelectorAll("time[data-until]")) countDown(time);
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
  for (const button of root.querySelectorAll("[data-unscripted]")) button.hidden = true;
}

// The height is in a style sheet of its own: an attribute would make the element differ from the one of a newer page.
const fitted = new CSSStyleSheet();
document.adoptedStyleSheets.push(fitted);
function fit(frame) {
  const height = frame.contentDocument?.documentElement?.getBoundingClientRect().height;
  if (height > 1) fitted.replaceSync(`iframe[data-fit] { height: ${Math.ceil(height) + 2}px !important; }`);
}
const fitAll = () => document.querySelectorAll("iframe[data-fit]").forEach(fit);
document.addEventListener("load", ({ target }) => { if (target.matches?.("iframe[data-fit]")) fit(target); }, true);
addEventListener("resize", fitAll);

setInterval(() => {
  for (const time of document.querySelectorAll("time[data-until]")) countDown(time);
}, 1000);

function say(text, tone = "bad") {
  const flash = document.getElementById("flash");
  if (!flash) return;
  const notice = document.createElement("p");
  notice.className = `notice ${tone}`;
  notice.textContent = text;
  flash.replaceChildren(notice);
}

// Regions that scroll, and that a click focuses.
const regions = (root) => [root, ...root.querySelectorAll(".scroll")];

// Copy what was typed into forms. A confirmation must be given again, because what it confirms may have changed.
function keepTyped(old, found) {
  const kept = [];
  for (const one of old.querySelectorAll("form input, form textarea")) {
    if (["hidden", "checkbox"].includes(one.type) || one.value === one.defaultValue) continue;
    const action = one.form.getAttribute("action");
    const form = [...found.querySelectorAll("form")].find((other) => other.getAttribute("action") === action);
    const same = form?.elements.namedItem(one.name);
    if (same && "value" in same && same.value !== one.value) {
      same.value = one.value;
      kept.push(same);
    }
  }
  return kept;
}

// Replace an element by that of another page. Keep open details, scroll positions and focus.
function swap(page, id, fresh) {
  const old = document.getElementById(id);
  const found = page.getElementById(id);
  if (!old || !found) return false;
  dress(found);
  for (const one of old.querySelectorAll("details[open][id]")) page.getElementById(one.id)?.setAttribute("open", "");
  if (old.outerHTML === found.outerHTML) return true;
  const focus = old.contains(document.activeElement) ? document.activeElement : null;
  const region = regions(old).indexOf(focus);
  if (focus && fresh && region < 0) return true;
  const place = focus && (focus.id || focus.name);
  const scrolled = regions(old).map((one) => one.scrollLeft);
  const kept = keepTyped(old, found);
  old.replaceWith(found);
  // Previews the effect of a form while the user types.
  if (fresh) for (const one of kept) if (one.form?.dataset.preview) one.dispatchEvent(new Event("input", { bubbles: true }));
  regions(found).forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
  regions(found)[region]?.focus({ preventScroll: true });
  if (place) (document.getElementById(place) || found.querySelector(`[name="${CSS.escape(place)}"]`))?.focus();
  return true;
}

// Replace several elements. Skip those inside another one.
function swapAll(page, ids, fresh) {
  const found = ids.filter((id) => document.getElementById(id)).map((id) => page.getElementById(id)).filter(Boolean);
  const outer = found.filter((one) => !found.some((other) => other !== one && other.contains(one)));
  return outer.map((one) => swap(page, one.id, fresh)).some(Boolean);
}

async function load(address, options) {
  const answer = await fetch(address, { credentials: "same-origin", ...options });
  const text = await answer.text();
  return { answer, page: new DOMParser().parseFromString(text, "text/html") };
}

function body(form, button, more) {
  const fields = new URLSearchParams(new FormData(form));
  if (button?.name) fields.append(button.name, button.value);
  for (const [name, value] of Object.entries(more || {})) fields.set(name, value);
  return fields;
}

function sendWhole(address, fields) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = address;
  form.hidden = true;
  for (const [name, value] of fields) {
    const field = document.createElement("textarea");
    field.name = name;
    field.value = value;
    form.append(field);
  }
  document.body.append(form);
  edited = false;
  form.submit();
}

// Whether a form has unsaved input. The browser then asks before it leaves the page.
let edited = false;
document.addEventListener("input", ({ target }) => {
  if (target.form?.method === "post" && target.type !== "checkbox" && target.type !== "password") edited = true;
});
addEventListener("beforeunload", (event) => { if (edited) event.preventDefault(); });

// The current page, without the fragment.
let shown = location.pathname + location.search;

async function follow(ids, address, options, remember) {
  let found;
  try {
    found = await load(address, options);
  } catch {
    say("No response from the server. The change may not have been made; check, then try again.");
    return;
  }
  const { answer, page } = found;
  const moved = answer.redirected && new URL(answer.url).pathname !== location.pathname;
  if (moved) {
    // The fetch consumed the message of that page; show it after the browser has loaded the page.
    edited = false;
    sessionStorage.setItem("flash", page.querySelector("#flash .notice")?.textContent || "");
    return location.assign(answer.url);
  }
  // The session has ended: let the browser submit the form, so that the sign-in page keeps it.
  if (page.getElementById("kept-form") && options.body) return sendWhole(address, options.body);
  if (!swapAll(page, ids, false)) {
    const problem = page.querySelector("[role=alert]");
    return problem ? say(problem.textContent.trim()) : location.assign(answer.url);
  }
  swap(page, "flash", false);
  if (remember) history.pushState(null, "", answer.url);
  shown = location.pathname + location.search;
}

// Ignore double clicks. If no page follows, the form can be sent again soon.
const sent = new WeakSet();
function once(event) {
  const form = event.target;
  if (sent.has(form)) return event.preventDefault();
  sent.add(form);
  setTimeout(() => sent.delete(form), 5000);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  const ids = form.dataset.swap?.split(" ");
  if (!ids || button?.hasAttribute("data-whole")) {
    edited = false;
    if (form.method === "post") once(event);
    return;
  }
  event.preventDefault();
  const action = new URL(button?.getAttribute("formaction") || form.getAttribute("action") || location.href, location.href);
  const fields = body(form, button);
  if (form.method === "get") {
    for (const [name, value] of [...fields]) if (!value) fields.delete(name);
    action.search = fields;
    follow(ids, action, {}, true);
  } else if (!form.ariaBusy) {  // an endpoint that is tried may take its time, and is tried once
    form.ariaBusy = "true";
    follow(ids, action, { method: "POST", body: fields }, false).finally(() => { form.ariaBusy = null; });
  }
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    follow(link.dataset.swap.split(" "), link.href, {}, true);
  }
  const button = event.target.closest("[data-copy]");
  if (button) {
    navigator.clipboard.writeText(button.dataset.copy).then(() => {
      const before = button.innerHTML;
      button.textContent = "Copied";
      setTimeout(() => { button.innerHTML = before; }, 1500);
    }, () => say("The browser does not allow copying. Select the text instead."));
  }
});
addEventListener("popstate", () => { if (location.pathname + location.search !== shown) location.reload(); });

const waiting = new WeakMap();
document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form?.dataset.preview) return;
  const known = waiting.get(form);
  clearTimeout(known?.timer);
  known?.request?.abort();
  // Include the elements that an earlier, aborted request was to update.
  const ids = new Set([...(known?.ids || []), ...(event.target.dataset.preview || form.dataset.preview).split(" ")]);
  const timer = setTimeout(async () => {
    const request = new AbortController();
    waiting.set(form, { request, ids });
    const options = { method: "POST", body: body(form, null, { do: "preview" }), signal: request.signal };
    try {
      const { page } = await load(form.getAttribute("action"), options);
      waiting.delete(form);
      swapAll(page, [...ids], false);
    } catch (problem) {
      if (problem.name !== "AbortError") say("No response from the server.");
    }
  }, 300);
  waiting.set(form, { timer, ids });
});

// With traffic, something changes all the time. This is the minimum time between reloads.
const RELOAD_MS = 4000;

function keepFresh() {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  let busy = false;
  let again = false;
  let source;
  let later;
  let next;
  let loaded = 0;
  const refresh = async () => {
    if (busy) { again = true; return; }
    clearTimeout(next);
    const wait = loaded + RELOAD_MS - Date.now();
    if (wait > 0) { next = setTimeout(refresh, wait); return; }
    busy = true;
    try {
      const { answer, page } = await load(location.href);
      if (answer.redirected) return location.reload();  // signed out meanwhile
      swapAll(page, [...main.querySelectorAll("[data-fresh][id]")].map((one) => one.id), true);
    } catch {
      again = true;
    } finally {
      busy = false;
      loaded = Date.now();
    }
    if (again && !document.hidden) { again = false; setTimeout(refresh, 1000); }
  };
  // Browsers allow few connections to a server, so hidden pages keep none. The stream starts with a change.
  const listen = () => {
    clearTimeout(later);
    source?.close();
    if (document.hidden) return;
    source = new EventSource(main.dataset.live);
    source.addEventListener("changed", refresh);
    // After a response that is not a stream, such as when Redis is unavailable, browsers do not reconnect.
    source.addEventListener("error", ({ target }) => {
      if (target === source && target.readyState === EventSource.CLOSED) later = setTimeout(listen, 5000);
    });
  };
  document.addEventListener("visibilitychange", listen);
  addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  addEventListener("pagehide", () => { clearTimeout(later); clearTimeout(next); source?.close(); });
  listen();
}

const message = sessionStorage.getItem("flash");
sessionStorage.removeItem("flash");
if (message) say(message, "good");
// The menu of a phone is longer than its screen.
const here = document.querySelector(".side nav [aria-current]");
if (here) here.closest("nav").scrollLeft = here.offsetLeft - here.closest("nav").clientWidth / 2;
dress(document);
fitAll();
keepFresh();
