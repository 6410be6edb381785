// Live updates and local times. The console works without it.
"use strict";

const EVERY = 10000; // milliseconds

function localTimes(root) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || zone === "UTC") return;
  const format = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = time.textContent + " UTC";
    time.textContent = format.format(new Date(time.dateTime));
  }
  for (const place of document.querySelectorAll("[data-zone]")) place.textContent = "in your time zone, " + zone;
}

function isBusy(part) {
  const selection = document.getSelection();
  return part.contains(document.activeElement) || (selection && !selection.isCollapsed && part.contains(selection.anchorNode));
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual", headers: { "x-console-live": "1" } });
  if (answer.type === "opaqueredirect") return location.reload(); // no longer signed in
  if (!answer.ok) throw new Error(answer.status);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  localTimes(fresh);
  for (const part of document.querySelectorAll("[data-live]")) {
    const newer = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
    if (newer && newer.outerHTML !== part.outerHTML && !isBusy(part)) part.replaceWith(document.adoptNode(newer));
  }
}

// Figures that stand still must not look as if they were of now.
function tellStale(isFresh) {
  const place = document.querySelector("[data-stale]");
  if (isFresh) place.hidden = true;
  else if (place.hidden) {
    place.textContent = `The relay does not answer: this page stands still since ${new Date().toLocaleTimeString("en-GB")}.`;
    place.hidden = false;
  }
}

function keepFresh() {
  setTimeout(() => refresh().then(() => tellStale(true), () => tellStale(false)).finally(keepFresh), EVERY);
}

// The address is copied with its secret, which is fetched only then.
async function copyAddress(event) {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "error" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    await navigator.clipboard.writeText(page.querySelector("[data-revealed]").textContent);
    button.textContent = "Copied";
  } catch {
    form.submit();
  }
}

for (const form of document.querySelectorAll("form[data-copy]")) {
  if (!navigator.clipboard) continue;
  form.querySelector("button").textContent = "Copy";
  form.addEventListener("submit", copyAddress);
}

localTimes(document);
if (document.querySelector("[data-live]")) keepFresh();
