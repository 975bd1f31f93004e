// The health page asks again every three seconds, and says so when nobody answers.

const holder = document.getElementById("desk-health");

async function again() {
  try {
    const answer = await fetch(holder.dataset.again, { cache: "no-store", redirect: "error", headers: { "X-Asked-By-Itself": "1" } });
    if (!answer.ok) throw new Error(String(answer.status));
    holder.innerHTML = await answer.text();
    holder.classList.remove("desk-stale");
  } catch {
    holder.classList.add("desk-stale");
    const sum = holder.querySelector(".desk-health-sum");
    sum.className = "desk-health-sum desk-tone-alarm";
    sum.firstChild.textContent = "The web process does not answer; what follows is old";
  }
  setTimeout(again, 3000);
}

setTimeout(again, 3000);
