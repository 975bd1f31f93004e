// The cancel dialog: says which order, asks why, posts with the CSRF token, shows what went wrong.

const dialog = document.getElementById("desk-cancel");

export function openCancel(button) {
  const form = dialog.querySelector("form");
  form.action = button.dataset.cancel;
  form.reset();
  dialog.querySelector("[data-what]").textContent = button.dataset.what;
  showError("");
  dialog.showModal();
  form.elements.reason.focus();
}

export function setUpCancel(page, done = () => {}) {
  page.addEventListener("click", (event) => {
    const button = event.target.closest("[data-cancel]");
    if (!button) return;
    event.preventDefault();
    openCancel(button);
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const send = form.querySelector("[type=submit]");
    send.disabled = true;
    const error = await post(form);
    send.disabled = false;
    showError(error);
    if (error) return;
    dialog.close();
    done();
  });
}

async function post(form) {
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { Accept: "application/json" },
      credentials: "same-origin",
      redirect: "error",
    });
    if (answer.ok) return "";
    if (answer.status === 403) return "You may not do this (any more). Sign in again and retry.";
    if (answer.status !== 422) return `The desk answered ${answer.status}. Nothing may have happened.`;
    const { errors } = await answer.json();
    return Object.values(errors).flat().map((error) => error.message).join(" ");
  } catch {
    return "The desk did not answer. The cancel may or may not have been asked for; look at the row.";
  }
}

function showError(text) {
  const line = dialog.querySelector("[data-error]");
  line.textContent = text;
  line.hidden = !text;
}
