// The health page asks again every few seconds, and says so when nobody answers.

import { askAgain, clock } from "./again.js";

const holder = document.getElementById("desk-health");

askAgain(holder.dataset.again, {
  take: (html) => {
    holder.innerHTML = html;
    holder.classList.remove("desk-stale");
  },
  silent: (heard) => {
    holder.classList.add("desk-stale");
    const sum = holder.querySelector(".desk-health-sum");
    sum.className = "desk-health-sum desk-tone-alarm";
    sum.firstChild.textContent = `The web process does not answer since ${clock(heard)}; what follows is old`;
  },
});
