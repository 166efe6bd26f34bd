// On every page: what the browser does not do by itself. Nothing here is needed to read a page or to send a form.

const BUSY_MS = 3000;

// Every request of htmx carries the session's token; its answers are of this host only (selfRequestsOnly).
document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector('meta[name="csrf-token"]');
  if (token?.content) event.detail.headers["X-CSRF-Token"] = token.content;
});

// Buttons that open and close dialogs, where the browser does not know `command` yet.
if (!("commandForElement" in HTMLButtonElement.prototype)) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[command][commandfor]");
    const dialog = button && document.getElementById(button.getAttribute("commandfor"));
    if (!(dialog instanceof HTMLDialogElement)) return;
    if (button.getAttribute("command") === "show-modal") dialog.showModal();
    else dialog.close();
  });
}

// A choice that is a form of its own is sent when it is made.
document.addEventListener("change", (event) => {
  if (event.target.matches?.("select[data-submit]")) event.target.form?.requestSubmit();
});

// A form that changes something is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.ariaBusy === "true") {
    event.preventDefault();
    return;
  }
  form.ariaBusy = "true";
  setTimeout(() => { form.ariaBusy = null; }, BUSY_MS);
});
addEventListener("pageshow", () => {
  for (const form of document.forms) form.ariaBusy = null;
});

// Moments are sent in UTC, and shown by the reader's own clock.
const clock = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short" });
function local(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    time.title = time.textContent;
    time.textContent = clock.format(moment);
  }
}
local(document);
document.addEventListener("htmx:load", (event) => local(event.detail.elt));
