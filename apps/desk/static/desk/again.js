// A page that asks for its own parts again every few seconds, and knows when nobody answers.

const EVERY = 3000;
const PATIENCE = 10000;

// ``take`` gets the parts as HTML; ``silent`` the time of the last answer; ``back`` is told that
// somebody looks again at a page that had stopped asking.
export function askAgain(address, { take, silent, back = () => {} }) {
  let heard = new Date();
  let acted = false;
  for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, () => (acted = true));

  async function ask() {
    try {
      const answer = await fetch(address, {
        cache: "no-store",
        redirect: "manual",
        headers: acted ? {} : { "X-Asked-By-Itself": "1" },
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.type === "opaqueredirect" || answer.status === 403) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      take(await answer.text());
      acted = false;
      heard = new Date();
    } catch {
      silent(heard);
    }
    setTimeout(turn, EVERY);
  }

  // A page that nobody looks at asks nothing; it asks as soon as somebody looks again.
  function turn() {
    if (!document.hidden) return ask();
    document.addEventListener("visibilitychange", () => { back(); ask(); }, { once: true });
  }

  setTimeout(turn, EVERY);
}

export function clock(at) {
  return at.toLocaleTimeString("en-GB", { timeZone: "Asia/Kolkata" });
}
