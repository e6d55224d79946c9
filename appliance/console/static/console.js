// What HTML and htmx cannot do alone. Every page works without this file, with less comfort.
const root = document.documentElement;
const words = document.body.dataset;
const all = (selector, scope = document) => [...scope.querySelectorAll(selector)];
const store = {
  get: (key) => { try { return localStorage.getItem(`casemate.${key}`); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(`casemate.${key}`, value); } catch { /* private browsing */ } },
};

function toast(text) {
  const box = document.querySelector(".toasts");
  if (!box) return;
  const item = Object.assign(document.createElement("p"), { className: "toast", textContent: text });
  box.append(item);
  setTimeout(() => item.remove(), 6000);
}

// Theme: system, light, dark. The server reads the cookie too, so that the first paint is right.
const nextTheme = { systeme: "clair", clair: "sombre", sombre: "systeme" };
function applyTheme(name) {
  if (name === "systeme") delete root.dataset.theme; else root.dataset.theme = name;
  document.cookie = `theme=${name}; path=/; max-age=31536000; samesite=strict`;
  const said = { systeme: words.themeSysteme, clair: words.themeClair, sombre: words.themeSombre }[name];
  for (const button of all("[data-theme-toggle]")) { button.setAttribute("aria-label", said); button.title = said; }
}
const theme = () => root.dataset.theme ?? "systeme";

// Citations: the number in the answer, the row in the list and the page shown are one selection.
function pickSource(row, { focus = false } = {}) {
  for (const link of all(".source, .answer .cite")) {
    const on = link === row || link.dataset.source === row.id;
    if (on) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
  }
  for (const page of all("[data-page]")) page.hidden = page.dataset.page !== row.dataset.paper;
  const shown = document.querySelector(`[data-page="${CSS.escape(row.dataset.paper)}"]`);
  const passage = shown?.querySelector("mark");
  const text = shown?.querySelector(".paper-text");
  if (passage && text) text.scrollTop = passage.offsetTop - text.offsetTop - 40;
  if (focus) row.focus();
}
function stepSource(by) {
  const rows = all(".source");
  const at = rows.findIndex((row) => row.hasAttribute("aria-current"));
  if (rows.length) pickSource(rows[(at + by + rows.length) % rows.length], { focus: true });
}
function openCitation(link) {
  const row = document.getElementById(link.dataset.source ?? "");
  if (row) { pickSource(row, { focus: true }); return true; }
  return false;
}

// What is copied carries its marking and its sources, and ordinary spaces.
function copied(element) {
  const lines = [element.innerText.replace(/[\u00a0\u202f]/g, " ").trim()];
  if (element.dataset.marking) lines.unshift(`[${element.dataset.marking}]`);
  if (element.matches(".answer")) for (const row of all(".source")) lines.push(row.innerText.replace(/\s+/g, " ").trim());
  return lines.join("\n");
}
async function copy(id) {
  const element = document.getElementById(id);
  try { await navigator.clipboard.writeText(copied(element)); toast(words.copied); } catch { toast(words.notCopied); }
}

function stop() {
  const button = document.querySelector("[data-stop]");
  if (!button) return false;
  htmx.trigger("#poser", "htmx:abort");
  for (const open of all(".caret")) open.classList.remove("caret");
  for (const busy of all('.answer[aria-busy="true"]')) busy.removeAttribute("aria-busy");
  return true;
}

document.addEventListener("click", (event) => {
  const hit = event.target.closest("[data-theme-toggle],[data-open],[data-close],[data-copy],[data-dismiss],[data-step],[data-fill],[data-stop],.answer .cite,.source");
  if (!hit) return;
  if (hit.matches("[data-theme-toggle]")) applyTheme(nextTheme[theme()]);
  else if (hit.dataset.open) document.getElementById(hit.dataset.open)?.showModal();
  else if (hit.hasAttribute("data-close")) hit.closest("dialog")?.close();
  else if (hit.hasAttribute("data-dismiss")) hit.closest("[data-dismissable]")?.remove();
  else if (hit.dataset.step) stepSource(Number(hit.dataset.step));
  else if (hit.dataset.fill) { const field = document.getElementById(hit.dataset.fill); field.value = hit.innerText.replace(/\u00a0/g, " "); field.focus(); }
  else if (hit.hasAttribute("data-stop")) stop();
  else if (hit.dataset.copy) copy(hit.dataset.copy);
  else if (hit.matches(".source")) { if (!event.ctrlKey && !event.metaKey) { event.preventDefault(); pickSource(hit); } }
  else if (openCitation(hit)) event.preventDefault();
});

// Single-key shortcuts can be switched off (WCAG 2.1.4) and never fire while someone types.
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input, textarea, select, [contenteditable]");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && typing) { event.preventDefault(); event.target.form?.requestSubmit(); }
  if (event.key === "Escape" && !document.querySelector("dialog[open], :popover-open")) document.querySelector("[data-stop]")?.click();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || store.get("touches") === "non") return;
  if (event.key === "/") { event.preventDefault(); document.querySelector("[data-focus-key]")?.focus(); }
  else if (event.key === "?") document.getElementById("raccourcis")?.showModal();
  else if (event.key === "[") stepSource(-1);
  else if (event.key === "]") stepSource(1);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-keys-off]")) store.set("touches", event.target.checked ? "non" : "oui");
});

// Drag and drop: the target lights up, the file input does the work. A folder is walked.
async function filesOf(entry, into) {
  if (entry.isFile) { into.push(await new Promise((ok, no) => entry.file(ok, no))); return; }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((ok, no) => reader.readEntries(ok, no));
    if (!some.length) return;
    for (const each of some) await filesOf(each, into);
  }
}
document.addEventListener("dragover", (event) => {
  const drop = event.target.closest?.(".drop");
  if (drop) { event.preventDefault(); drop.classList.add("is-over"); }
});
document.addEventListener("dragleave", (event) => event.target.closest?.(".drop")?.classList.remove("is-over"));
document.addEventListener("drop", async (event) => {
  const drop = event.target.closest?.(".drop");
  if (!drop) return;
  event.preventDefault();
  drop.classList.remove("is-over");
  const input = drop.querySelector("input[type=file]");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [];
  for (const entry of entries) await filesOf(entry, files);
  const transfer = new DataTransfer();
  for (const file of files.length ? files : event.dataTransfer.files) transfer.items.add(file);
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});

// The same files may be chosen again, and are not sent twice with the next ones.
document.addEventListener("htmx:finally:request", (event) => {
  if (event.target.matches?.(".drop")) for (const input of all("input[type=file]", event.target)) input.value = "";
});

// The end of the session is announced two minutes before, with one button to stay.
let watching;
function watchSession() {
  clearTimeout(watching);
  const dialog = document.getElementById("fin-session");
  if (!dialog) return;
  const left = Number(dialog.dataset.until) * 1000 - Date.now();
  if (!Number(dialog.dataset.until)) return;
  if (left <= 0) { location.reload(); return; }
  if (left <= 120000 && !dialog.open) dialog.showModal();
  watching = setTimeout(watchSession, left > 120000 ? Math.min(left - 120000, 2 ** 30) : left);
}

// A new turn comes into view once; what grows below it does not move the page.
document.addEventListener("htmx:after:swap", () => {
  for (const turn of all('.turn:has(.answer[aria-busy="true"]):not([data-seen])')) { turn.dataset.seen = ""; turn.scrollIntoView({ block: "start" }); }
});

// A conversation has an address, so that reloading the page shows it again.
document.addEventListener("htmx:after:swap", () => {
  const url = document.querySelector("[data-url]")?.dataset.url;
  if (url && location.pathname !== url) history.replaceState(null, "", url);
});

// The text of a question is never lost: it waits in this tab while the question is under way.
document.addEventListener("submit", (event) => {
  if (event.target.id === "poser") { try { sessionStorage.setItem("casemate.brouillon", document.getElementById("q").value); } catch { /* private browsing */ } }
});
function draft() {
  const field = document.getElementById("q");
  let kept = "";
  try { kept = sessionStorage.getItem("casemate.brouillon") ?? ""; } catch { /* private browsing */ }
  if (field && kept && !field.value) field.value = kept;
  forgetDraft();
}
function forgetDraft() { try { sessionStorage.removeItem("casemate.brouillon"); } catch { /* private browsing */ } }
document.addEventListener("htmx:after:swap", () => { if (document.querySelector(".turn:last-of-type .stub, .turn:last-of-type [role=alert]")) forgetDraft(); });

// A click outside closes a dialog; an htmx failure is never silent.
document.addEventListener("click", (event) => { if (event.target.matches?.("dialog.dialog:not(#fin-session)")) event.target.close(); });
document.addEventListener("htmx:error", () => toast(words.failed));

applyTheme(theme());
draft();
for (const box of all("[data-keys-off]")) box.checked = store.get("touches") === "non";
watchSession();
document.addEventListener("visibilitychange", watchSession);
