// Dialogs that ask before they act: they say what about, ask why, post with the CSRF token, and
// show what went wrong. Without this script their links lead to pages that ask the same.

export function openDialog(link) {
  const dialog = document.getElementById(`desk-${link.dataset.act}`);
  if (!dialog) return link.click(); // a plain link: there is nothing to ask here
  const form = dialog.querySelector("form");
  form.reset();
  if (!("own" in form.dataset)) form.action = link.href;
  const what = dialog.querySelector("[data-what]");
  if (what) what.textContent = link.dataset.what;
  if (link.dataset.scope) form.elements.scope.value = link.dataset.scope;
  if (link.dataset.terms) fill(form, JSON.parse(link.dataset.terms));
  showError(dialog, "");
  dialog.showModal();
  form.querySelector("input:not([type=hidden], :disabled)").focus();
}

export function setUpDialogs(page, done = () => {}) {
  page.addEventListener("click", (event) => {
    const link = event.target.closest("[data-act]");
    if (!link || !document.getElementById(`desk-${link.dataset.act}`)) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    openDialog(link);
  });
  for (const dialog of document.querySelectorAll("dialog.desk-dialog:has([data-close])")) {
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      send(dialog, event.target, done);
    });
  }
}

async function send(dialog, form, done) {
  const button = form.querySelector("[type=submit]");
  if (button.disabled) return;
  button.disabled = true;
  const { error, text } = await post(form);
  button.disabled = false;
  showError(dialog, error);
  if (error) return;
  dialog.close();
  say(text);
  done();
}

// The terms that the order has: beside the fields, and in them. A field that it lacks is not asked.
function fill(form, terms) {
  for (const name of ["quantity", "price", "trigger_price"]) {
    const input = form.elements[name];
    input.disabled = !(name in terms);
    input.closest("label").hidden = input.disabled;
    input.value = terms[name] ?? "";
    form.querySelector(`[data-now="${name}"]`).textContent = terms[name] ?? "";
  }
  form.elements.seen.value = terms.seen;
}

async function post(form) {
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { Accept: "application/json" },
      credentials: "same-origin",
      redirect: "manual",
    });
    if (answer.ok) return await answer.json();
    if (answer.type === "opaqueredirect") return { error: "Not done: you are signed out. Sign in again." };
    if (answer.status === 403) return { error: "Not done: you may not do this (any more)." };
    if (answer.status !== 422) return { error: `The desk answered ${answer.status}. It may or may not be done; look first.` };
    const { errors } = await answer.json();
    return { error: Object.values(errors).flat().map((error) => error.message).join(" ") };
  } catch {
    return { error: "The desk did not answer. It may or may not be done; look first." };
  }
}

let hiding = null;
function say(text) {
  const line = document.getElementById("desk-said");
  line.textContent = text;
  line.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (line.hidden = true), 6000);
}

function showError(dialog, text) {
  const line = dialog.querySelector("[data-error]");
  line.textContent = text ?? "";
  line.hidden = !text;
}
