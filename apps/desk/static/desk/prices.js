// The last price of one instrument, asked for while somebody looks. Asking makes the desk listen.

const EVERY = 2000; // milliseconds

export function watchPrice(line, asked, before) {
  let busy = false;

  async function ask() {
    const wanted = asked();
    line.hidden = !wanted;
    if (!wanted || busy || document.hidden) return;
    busy = true;
    try {
      show(await post(wanted), wanted);
    } catch {
      line.textContent = `${before}not known: the desk does not answer`;
      line.classList.add("desk-old");
    } finally {
      busy = false;
    }
  }

  function show(told, wanted) {
    const now = asked();
    if (!now || now.instrument !== wanted.instrument || now.address !== wanted.address) return;
    line.textContent = told.ok ? `${before}${told.text}` : "";
    line.classList.toggle("desk-old", !told.fresh);
  }

  setInterval(ask, EVERY);
  document.addEventListener("visibilitychange", ask);
  ask();
  return ask;
}

async function post({ address, instrument }) {
  const body = new FormData();
  body.set("instrument", instrument);
  body.set("csrfmiddlewaretoken", document.querySelector("[name=csrfmiddlewaretoken]").value);
  const answer = await fetch(address, {
    method: "POST",
    body,
    headers: { Accept: "application/json", "X-Asked-By-Itself": "1" },
    redirect: "error",
  });
  if (!answer.ok && answer.status !== 422) throw new Error(String(answer.status));
  return answer.json();
}
